"""The outside world, one library a module: MariaDB, Secrets Manager, Stripe's signatures, logs."""
