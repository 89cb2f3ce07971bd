"""What can go wrong with Stripe's side of a deployment, beside what Stripe and AWS answer."""

from __future__ import annotations

from settlement.errors import SettlementError


class StripeAccountError(SettlementError):
    """The deployment cannot go on; the message says what came and what to do."""


class AwsCallFailed(SettlementError):
    """AWS refused a call; the message is AWS's own and names the call."""
