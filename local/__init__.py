"""The service on one machine: a real MariaDB, emulated AWS, and what the tests need of both."""
