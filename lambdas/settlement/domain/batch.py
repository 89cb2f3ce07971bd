"""The use case for many events at once: what a sale or an outage brings, in one transaction.

The rules are those of one event. What the batch does not settle is handled by
:func:`~settlement.domain.service.handle_stripe_event` afterwards, one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from settlement.domain.outcomes import Outcome, Result
from settlement.domain.payments import Payment, PaymentState, read_event, read_payment
from settlement.domain.service import handle_stripe_event
from settlement.errors import StatementRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from settlement.domain.order_tables import OrderId
    from settlement.domain.service import Delivery, Parts


def handle_stripe_events(
    openers: Sequence[Callable[[], object]], delivery: Delivery, parts: Callable[[], Parts]
) -> Iterator[tuple[int, Result]]:
    """Settle what many Stripe events report, each exactly once.

    Args:
        openers: One per event, as ``open_event`` of ``handle_stripe_event``.
        delivery: How and when they came.
        parts: Gives the ledger and the rules, or raises ``SettlementError``.

    Yields:
        The place of an event and its result, which rests on its own outcome: first of those that
        the batch settled, then of the others, each handled when it is asked for. Nothing is raised.
    """
    payments = _payments(openers, parts)
    orders = _settle(payments, delivery, parts)
    settled = {place for place, payment in payments.items() if payment.order_id in orders}
    for place in sorted(settled):
        yield place, _settled(payments[place])
    for place, open_event in enumerate(openers):
        if place not in settled:
            yield place, handle_stripe_event(open_event, delivery, parts)


def _payments(
    openers: Sequence[Callable[[], object]], parts: Callable[[], Parts]
) -> dict[int, Payment]:
    """Return the paid ones by their place, each order once."""
    payments: dict[int, Payment] = {}
    orders = set()
    for place, open_event in enumerate(openers):
        try:
            reading = read_payment(read_event(open_event()), parts().rules)
        except Exception:  # noqa: BLE001, S112 - handled by itself, it says what is wrong
            continue
        if not isinstance(reading, Payment) or reading.state is not PaymentState.PAID:
            continue
        if reading.order_id not in orders:
            orders.add(reading.order_id)
            payments[place] = reading
    return payments


def _settle(
    payments: dict[int, Payment], delivery: Delivery, parts: Callable[[], Parts]
) -> set[OrderId]:
    """Return the orders that are settled; halve what the database refuses."""
    settled: set[OrderId] = set()
    waiting = [list(payments.values())]
    while waiting:
        batch = waiting.pop()
        if len(batch) < 2:
            continue
        try:
            settled |= parts().ledger.settle_batch(batch, delivery)
        except StatementRefused:
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
        except Exception:  # noqa: BLE001
            break  # the database or the time is away, or a defect: each event says so by itself
    return settled


def _settled(payment: Payment) -> Result:
    event = payment.event
    return Result(
        outcome=Outcome.SETTLED,
        event_id=event.id,
        event_type=event.type,
        event_created=event.created,
        order_id=payment.order_id,
        session_id=payment.session_id,
    )
