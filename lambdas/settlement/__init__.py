"""Settle ticket orders from Stripe's payment confirmations, exactly once.

The arrows point inward: handlers → :mod:`~settlement.bootstrap` → {``domain``, ``adapters``}; the
adapters implement the domain's protocols. One file imports stripe (``adapters/signatures.py``),
one holds a cursor (``adapters/database.py``).
"""

from settlement.domain.service import handle_stripe_event

__all__ = ["handle_stripe_event"]
