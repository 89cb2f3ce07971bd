"""What a payment is and what becomes of it. Imports nothing but the standard library."""
