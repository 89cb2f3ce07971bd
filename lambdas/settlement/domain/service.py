"""The use case: one Stripe event, whichever route delivered it, becomes one committed outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from settlement.domain.outcomes import AnomalyKind, Outcome, Result
from settlement.domain.payments import (
    Anomaly,
    Ignored,
    Payment,
    Rules,
    Unfetched,
    read_event,
    read_fetched,
    read_payment,
)
from settlement.errors import (
    OrderNotYetKnown,
    RejectedDelivery,
    SettlementError,
    UnexpectedFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from settlement.domain.clock import Deadline
    from settlement.domain.order_tables import OrderId
    from settlement.domain.outcomes import Route, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The circumstances of one delivery, for the record."""

    route: Route
    received_at: datetime
    """Aware, from the one clock."""
    deadline: Deadline
    """No statement is started that could not answer before it."""


class Ledger(Protocol):
    """Where outcomes are committed. Each call is safe to make again, whatever became of the last.

    Every method raises :class:`~settlement.errors.RetryableError` when it cannot tell that the
    outcome is committed.
    """

    def settle(self, payment: Payment, delivery: Delivery) -> Verdict:
        """Apply what a session says of its order: settle it, or mark it processing or failed."""

    def settle_batch(self, payments: Sequence[Payment], delivery: Delivery) -> set[OrderId]:
        """Settle what plainly settles of many paid orders, in one transaction.

        Args:
            payments: Of different orders, all paid.
            delivery: How and when they came.

        Returns:
            The orders that were settled. Of the others nothing was written.

        Raises:
            StatementRefused: one of them is in the way of all; nothing was written.
        """

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> None:
        """Keep a payment that does not settle its order, for a person to decide."""


class Sessions(Protocol):
    """Where the sessions are that thin events name."""

    def session(self, session_id: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """Return a Checkout Session as it is now; ``None`` if Stripe has none of that id.

        Raises:
            StripeUnavailable: it was not to be had before the deadline.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an event is settled with."""

    ledger: Ledger
    """Where the outcome is committed."""
    rules: Rules
    """Which events are ours."""
    sessions: Callable[[], Sessions] | None = None
    """Called for a thin event, and not before: it loads what asks Stripe. ``None``: there is no key
    to ask with, and a thin event is an anomaly."""


def handle_stripe_event(
    open_event: Callable[[], object], delivery: Delivery, parts: Callable[[], Parts]
) -> Result:
    """Settle what a Stripe event reports, exactly once. No outcome depends on the route.

    Args:
        open_event: Gives the plain Event object, snapshot or thin, its authenticity established,
            or raises :class:`~settlement.errors.SettlementError`.
        delivery: How and when it came.
        parts: Gives the ledger and the rules, or raises ``SettlementError``.

    Returns:
        The result; nothing is raised. An outcome that acknowledges the delivery is committed.
        ``error`` is set exactly when the delivery is not acknowledged, and says why.
    """
    result = Result(outcome=Outcome.IGNORED)
    try:
        event = read_event(open_event())
        result = replace(
            result, event_id=event.id, event_type=event.type, event_created=event.created
        )
        settling = parts()
        reading = read_payment(event, settling.rules)
        if isinstance(reading, Unfetched):
            result = replace(result, session_id=reading.session_id)
            reading = _fetch(reading, delivery, settling)
        if isinstance(reading, Ignored):
            return replace(result, reason=reading.reason)
        result = replace(result, order_id=reading.order_id, session_id=reading.session_id)
        if isinstance(reading, Payment):
            verdict = settling.ledger.settle(reading, delivery)
            if verdict.outcome is not None:
                reason = verdict.detail or None
                return replace(
                    result, outcome=verdict.outcome, anomaly=verdict.anomaly, reason=reason
                )
            reading = _anomaly(verdict, reading, delivery, settling.rules)
        settling.ledger.record_anomaly(reading, delivery)
        return replace(result, outcome=Outcome.ANOMALY, anomaly=reading.kind, reason=reading.detail)
    except Exception as error:  # noqa: BLE001 - a defect must not lose a payment, nor its ids
        return _not_acknowledged(result, error)


def _fetch(reading: Unfetched, delivery: Delivery, settling: Parts) -> Payment | Anomaly | Ignored:
    """Return what a thin event means, by the session that it names."""
    if settling.sessions is None:
        return reading.anomaly(
            "a thin event has no session, and there is no API key to fetch it with: the event "
            "destination must send snapshot payloads, or thin events need a key"
        )
    session = settling.sessions().session(reading.session_id, delivery.deadline)
    if session is None:
        return reading.anomaly("Stripe has no such session in the API key's account and mode")
    return read_fetched(reading.event, session, settling.rules)


def _anomaly(verdict: Verdict, payment: Payment, delivery: Delivery, rules: Rules) -> Anomaly:
    """Return what a payment amounts to that did not settle its order."""
    if verdict.anomaly is None:
        raise ValueError("the ledger gave neither an outcome nor an anomaly")
    if verdict.anomaly is AnomalyKind.UNKNOWN_ORDER:
        _raise_while_it_may_come(payment, delivery, rules)
    return Anomaly.of_payment(payment, verdict.anomaly, verdict.detail)


def _raise_while_it_may_come(payment: Payment, delivery: Delivery, rules: Rules) -> None:
    age = delivery.received_at - payment.event.created
    if age <= rules.order_grace:
        raise OrderNotYetKnown(
            f"order {payment.order_id} does not exist; the event is {age.total_seconds():.0f} s "
            f"old and is retried until it is {rules.order_grace.total_seconds():.0f} s old"
        )


def _not_acknowledged(known: Result, error: Exception) -> Result:
    """Return the result that an error amounts to, with the ids that were known by then."""
    if not isinstance(error, SettlementError):
        error = UnexpectedFailure.of(error)
    rejected = isinstance(error, RejectedDelivery)
    outcome = Outcome.UNAUTHENTICATED if rejected else Outcome.RETRY
    return replace(known, outcome=outcome, reason=str(error), error=error)
