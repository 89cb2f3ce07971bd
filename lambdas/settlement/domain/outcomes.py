"""What can come of a delivery, and what each outcome answers on each route."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from settlement.errors import SettlementError


class Route(StrEnum):
    """How a delivery reached us."""

    EVENTBRIDGE = "eventbridge"
    WEBHOOK = "webhook"


class Outcome(StrEnum):
    """The answer to a delivery. All but the last two mean: what was to be done is committed."""

    SETTLED = "settled"
    DUPLICATE = "duplicate"
    AWAITING_PAYMENT = "awaiting_payment"
    IGNORED = "ignored"
    ANOMALY = "anomaly"
    UNAUTHENTICATED = "unauthenticated"
    RETRY = "retry"

    @property
    def acknowledges(self) -> bool:
        """Whether the sender may forget the event."""
        return self not in (Outcome.UNAUTHENTICATED, Outcome.RETRY)


class AnomalyKind(StrEnum):
    """Why a payment could not be settled although it may be real money. A person decides."""

    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    SECOND_PAYMENT = "second_payment"
    """Another payment has already settled the order."""
    LATE_PAYMENT = "late_payment"
    """The order was cancelled, expired or refunded before this payment."""
    PAYMENT_REUSED = "payment_reused"
    """The payment or its session already belongs to another order."""
    UNKNOWN_ORDER = "unknown_order"
    MALFORMED_ORDER_ID = "malformed_order_id"
    MALFORMED_SESSION = "malformed_session"
    """The session lacks an id, an amount, a currency or a payment status we can read."""
    THIN_EVENT = "thin_event"
    """The event destination sends thin events, which carry no session."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger committed for one delivery."""

    outcome: Outcome
    anomaly: AnomalyKind | None = None
    """Set exactly when the outcome is ``ANOMALY``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one delivery, with the ids an operator searches for."""

    outcome: Outcome
    event_id: str | None = None
    event_type: str | None = None
    event_created: datetime | None = None
    order_id: int | None = None
    session_id: str | None = None
    """The Checkout Session; the event's own id where the event names no session."""
    anomaly: AnomalyKind | None = None
    reason: str | None = None
    """Why, where the outcome alone does not say it."""
    error: SettlementError | None = None
    """Set exactly when the outcome does not acknowledge the delivery."""

    @property
    def http_status(self) -> HTTPStatus:
        """The webhook's answer. Stripe retries everything that is not 2xx for up to 3 days."""
        if self.outcome.acknowledges:
            return HTTPStatus.OK
        if self.outcome is Outcome.RETRY:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return getattr(self.error, "http_status", HTTPStatus.BAD_REQUEST)

    def answer(self) -> dict[str, str | None]:
        """What the sender is told: nothing it does not already know."""
        return {"outcome": self.outcome.value, "event_id": self.event_id}
