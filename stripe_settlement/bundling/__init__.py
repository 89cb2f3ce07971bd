"""How the functions' asset is built."""
