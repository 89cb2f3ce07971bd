"""Stripe's side, as resources of the stack."""
