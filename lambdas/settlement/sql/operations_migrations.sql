-- The migrations that the database says were applied: (number, name, applied_at).
SELECT number, name, applied_at FROM settlement_migrations ORDER BY number
