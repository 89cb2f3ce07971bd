"""What can come of a delivery, and what each outcome returns on each route."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from settlement.domain.order_tables import OrderId
    from settlement.errors import SettlementError


class Route(StrEnum):
    """How a delivery reached us."""

    EVENTBRIDGE = "eventbridge"
    WEBHOOK = "webhook"
    RECONCILIATION = "reconciliation"
    """Neither route brought it; Stripe's list of events did."""


class Outcome(StrEnum):
    """What came of a delivery. All but the last two mean: what was to be done is committed."""

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
    UNSUPPORTED_MODE = "unsupported_mode"
    """A subscription's session names an order: it is paid again and again, an order once."""
    OVERSOLD = "oversold"
    """More tickets are paid for than there are. With ``SETTLED``: and the order is settled."""
    CANNOT_BE_SETTLED = "cannot_be_settled"
    """The order's rows, or a rule of the shop's database, are in the way of every delivery."""
    THIN_EVENT = "thin_event"
    """A thin event, whose session cannot be had; the detail says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger found, and what it has committed: facts, from which the domain decides."""

    outcome: Outcome | None = None
    """``SETTLED``, ``DUPLICATE`` or ``AWAITING_PAYMENT``, and it is committed; ``None``: nothing
    was written.
    """
    anomaly: AnomalyKind | None = None
    """Why nothing was written; with ``SETTLED``: what was recorded beside, in one transaction."""
    detail: str = ""
    """What the order is, or what is in the way, for the person who decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one delivery, with the ids an operator searches for."""

    outcome: Outcome
    event_id: str | None = None
    event_type: str | None = None
    event_created: datetime | None = None
    order_id: OrderId | None = None
    session_id: str | None = None
    """The Checkout Session; the event's own id where the event names no session."""
    anomaly: AnomalyKind | None = None
    reason: str | None = None
    """Why, where the outcome alone does not say it."""
    error: SettlementError | None = None
    """Set exactly when the outcome does not acknowledge the delivery."""

    @property
    def http_status(self) -> HTTPStatus:
        """The webhook's status. Stripe retries everything that is not 2xx for up to 3 days."""
        if self.outcome.acknowledges:
            return HTTPStatus.OK
        if self.outcome is Outcome.RETRY:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return getattr(self.error, "http_status", HTTPStatus.BAD_REQUEST)

    def response(self) -> dict[str, str | None]:
        """Return what a direct invocation gets back."""
        return {
            "outcome": self.outcome.value,
            "event_id": self.event_id,
            "order_id": None if self.order_id is None else str(self.order_id),
            "anomaly": None if self.anomaly is None else self.anomaly.value,
        }

    def http_response(self) -> dict[str, str | None]:
        """Return what the webhook's sender gets back: nothing it does not already know."""
        return {"outcome": self.outcome.value, "event_id": self.event_id}
