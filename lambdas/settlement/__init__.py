"""Settle ticket orders from Stripe's payment confirmations, exactly once.

The arrows point inward: handlers → :mod:`~settlement.application` → :mod:`~settlement.service` →
{:mod:`~settlement.payments`, :mod:`~settlement.outcomes`}. The ledger implements the service's
protocol. One file imports stripe (:mod:`~settlement.signatures`), one holds a cursor
(:mod:`~settlement.database`).
"""

from settlement.service import handle_stripe_event

__all__ = ["handle_stripe_event"]
