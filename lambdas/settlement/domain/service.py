"""The use case: one Stripe event, whichever route delivered it, becomes one committed outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from settlement.domain.outcomes import Outcome, Result, Verdict
from settlement.domain.payments import Anomaly, Ignored, Rules, read_event, read_payment
from settlement.errors import OrderNotYetKnown, RetryableError, UnexpectedFailure

if TYPE_CHECKING:
    from datetime import datetime

    from settlement.domain.clock import Deadline
    from settlement.domain.outcomes import Route
    from settlement.domain.payments import Payment


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

    def settle(
        self, payment: Payment, delivery: Delivery, *, order_may_be_late: bool
    ) -> Verdict | None:
        """Apply what a session says of its order: settle it, or mark it processing or failed.

        ``None``: there is no such order, it may yet come, and nothing was written.
        """

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> Verdict:
        """Keep what cannot be read as a payment for a person to decide."""


def handle_stripe_event(
    event: object, delivery: Delivery, *, ledger: Ledger, rules: Rules
) -> Result:
    """Settle what a verified Stripe event reports, exactly once.

    Args:
        event: The plain Event object (snapshot payload), its authenticity already established.
        delivery: How and when it came; no outcome depends on the route.
        ledger: Where the outcome is committed.
        rules: Which events are ours.

    Returns:
        The result. An outcome that acknowledges the delivery is committed; with ``RETRY``
        nothing was acknowledged and ``error`` says why.

    Raises:
        RejectedDelivery: ``event`` is not a Stripe event object.
    """
    stripe_event = read_event(event)
    result = Result(
        outcome=Outcome.IGNORED,
        event_id=stripe_event.id,
        event_type=stripe_event.type,
        event_created=stripe_event.created,
    )
    reading = read_payment(stripe_event, rules)
    if isinstance(reading, Ignored):
        return replace(result, reason=reading.reason)
    result = replace(result, order_id=reading.order_id, session_id=reading.session_id)
    try:
        if isinstance(reading, Anomaly):
            verdict = ledger.record_anomaly(reading, delivery)
        else:
            verdict = _apply(reading, delivery, ledger, rules)
    except RetryableError as error:
        return _to_be_retried(result, error)
    except Exception as error:  # noqa: BLE001 - a defect must not lose a payment, nor its ids
        return _to_be_retried(result, UnexpectedFailure.of(error))
    reason = reading.detail if isinstance(reading, Anomaly) else None
    return replace(result, outcome=verdict.outcome, anomaly=verdict.anomaly, reason=reason)


def _to_be_retried(result: Result, error: RetryableError) -> Result:
    return replace(result, outcome=Outcome.RETRY, reason=str(error), error=error)


def _apply(payment: Payment, delivery: Delivery, ledger: Ledger, rules: Rules) -> Verdict:
    age = delivery.received_at - payment.event.created
    order_may_be_late = age <= rules.order_grace
    verdict = ledger.settle(payment, delivery, order_may_be_late=order_may_be_late)
    if verdict is None:
        raise OrderNotYetKnown(
            f"order {payment.order_id} does not exist; the event is {age.total_seconds():.0f} s "
            f"old and is retried until it is {rules.order_grace.total_seconds():.0f} s old"
        )
    return verdict
