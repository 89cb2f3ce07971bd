"""The promise itself: whatever is delivered, however often, in whatever order, from everywhere."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Barrier
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.shop import Order
from settlement.adapters.database import Database
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import AnomalyKind, Outcome, Result, Route
from tests.support.cachao import Cachao, Holder, deliver, deliver_batch, event_for
from tests.support.waiting import SECONDS

pytestmark = pytest.mark.both_shapes

WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Posting:
    """One delivery as the machine sends it."""

    event: dict[str, Any]
    route: Route
    is_money: bool


class Deliveries(RuleBasedStateMachine):
    """Orders, sessions and deliveries over one database; every example makes rows of its own."""

    cachao: ClassVar[Cachao]
    orders: Bundle[Order] = Bundle("orders")
    postings: Bundle[Posting] = Bundle("postings")
    payments: ClassVar = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.databases = [
            self.stack.enter_context(closing(self.cachao.database())) for _ in range(WORKERS)
        ]
        self.pool = self.stack.enter_context(ThreadPoolExecutor(WORKERS))
        self.tickets = [self.cachao.add_ticket() for _ in range(2)]
        self.codes = [self.cachao.add_discount_code(), None]
        self.made: list[Order] = []
        self.delivered: list[tuple[Posting, Result]] = []

    def teardown(self) -> None:
        self.stack.close()

    @rule(
        target=orders,
        status=st.sampled_from([None] * 4 + ["processing", "cancelled", "expired"]),
        quantity=st.integers(1, 4),
        ticket=st.integers(0, 1),
        code=st.integers(0, 1),
        amount=st.sampled_from([0, 1, 5000]),
    )
    def order_is_made(
        self, status: str | None, quantity: int, ticket: int, code: int, amount: int
    ) -> Order:
        order = self.cachao.add_order(
            status=status,
            quantity=quantity,
            amount=amount,
            ticket_id=self.tickets[ticket],
            discount_code_id=self.codes[code],
            discounted=False,
        )
        self.made.append(order)
        return order

    @rule(
        target=postings,
        order=orders,
        kind=st.sampled_from(["paid"] * 4 + ["async", "free", "wrong_amount", "currency"]),
        reuses_a_payment=st.sampled_from([False] * 9 + [True]),
    )
    def session_is_completed(self, order: Order, kind: str, reuses_a_payment: bool) -> Any:
        """A session of the order; several sessions may belong to one order."""
        cls = type(self)
        cls.payments += not reuses_a_payment or not cls.payments
        payment = f"{self.cachao.name}_{cls.payments}"
        changes: dict[str, Any] = {}
        if kind == "wrong_amount":
            changes["amount"] = order.amount + 1
        elif kind == "currency":
            changes["currency"] = "usd"
        elif kind == "free":
            changes.update(payment_status="no_payment_required", payment_intent=None)
        if kind != "async":
            return self.both_routes(
                event_for(order, payment=payment, event=f"{payment}_{kind}", **changes)
            )
        steps = [
            ("checkout.session.completed", "unpaid"),
            ("checkout.session.async_payment_succeeded", "paid"),
        ]
        return multiple(
            *(
                Posting(
                    event=event_for(
                        order,
                        payment=payment,
                        event=f"{payment}_{status}",
                        type=event_type,
                        payment_status=status,
                    ),
                    route=Route.EVENTBRIDGE,
                    is_money=status == "paid",
                )
                for event_type, status in steps
            )
        )

    @rule(target=postings, order=orders)
    def async_payment_fails(self, order: Order) -> Posting:
        cls = type(self)
        cls.payments += 1
        return Posting(
            event=event_for(
                order,
                payment=f"{self.cachao.name}_{cls.payments}",
                event=f"{self.cachao.name}_{cls.payments}_failed",
                type="checkout.session.async_payment_failed",
                payment_status="unpaid",
            ),
            route=Route.WEBHOOK,
            is_money=False,
        )

    @rule(order=orders, status=st.sampled_from(["cancelled", "expired"]))
    def service_closes_an_open_order(self, order: Order, status: str) -> None:
        self.cachao.shop_query(
            "UPDATE {orders} SET {status} = %s WHERE {order_id} = %s AND {status} = %s",
            status,
            order.id,
            self.cachao.tables.open,
        )

    # A list of an empty bundle would be thrown away, and too many of those end the test.
    @precondition(lambda self: bool(self.bundle("postings")))
    @rule(batch=st.lists(postings, min_size=1, max_size=12))
    def deliveries_arrive_at_once(self, batch: list[Posting]) -> None:
        """With duplicates, reordered, on both routes, over several connections."""

        def work(lane: int) -> list[tuple[Posting, Result]]:
            return [
                (posting, deliver(posting.event, self.databases[lane], route=posting.route))
                for posting in batch[lane::WORKERS]
            ]

        for results in self.pool.map(work, range(WORKERS)):
            self.delivered.extend(results)

    @precondition(lambda self: bool(self.bundle("postings")))
    @rule(events=st.lists(postings, min_size=2, max_size=16), size=st.integers(2, 8))
    def batches_arrive_at_once(self, events: list[Posting], size: int) -> None:
        """Of the on-sale queue, over several connections; each shares half of it with the next."""
        batches = [events[start : start + size] for start in range(0, len(events), size // 2)]

        def work(lane: int) -> list[tuple[Posting, Result]]:
            return [
                pair
                for batch in batches[lane::WORKERS]
                for pair in zip(
                    batch,
                    deliver_batch([each.event for each in batch], self.databases[lane]),
                    strict=True,
                )
            ]

        for results in self.pool.map(work, range(WORKERS)):
            self.delivered.extend(results)

    @staticmethod
    def both_routes(event: dict[str, Any]) -> Any:
        return multiple(*(Posting(event=event, route=route, is_money=True) for route in Route))

    @invariant()
    def counters_are_the_sum_of_settlements(self) -> None:
        for ticket in self.tickets:
            assert self.cachao.shop_query(
                "SELECT {sold} FROM {tickets} WHERE {ticket_id} = %s", ticket
            ) == self.cachao.query(
                "SELECT COALESCE(SUM(quantity), 0) FROM settlements WHERE ticket_id = %s",
                ticket,
            )
        if self.codes[0] is None:
            return
        assert self.cachao.shop_query(
            "SELECT {used} FROM {discount_codes} WHERE {discount_code_id} = %s", self.codes[0]
        ) == self.cachao.query(
            "SELECT COUNT(*) FROM settlements WHERE discount_code_id = %s", self.codes[0]
        )

    @invariant()
    def order_is_paid_exactly_when_it_has_its_settlement(self) -> None:
        for order in self.made:
            is_paid = self.cachao.status(order) == "paid"
            assert self.cachao.settlements(order) == int(is_paid)

    @invariant()
    def order_settles_at_most_once(self) -> None:
        settled = Counter(
            result.order_id for _, result in self.delivered if result.outcome is Outcome.SETTLED
        )
        assert all(count == 1 for count in settled.values())
        for order in self.made:
            assert self.cachao.settlements(order) == settled[order.id]

    @invariant()
    def no_paid_event_is_lost(self) -> None:
        kept = set(self.cachao.anomalies())
        for posting, result in self.delivered:
            if posting.is_money and result.outcome is Outcome.ANOMALY:
                assert result.anomaly is not None
                assert (result.anomaly.value, result.session_id) in kept
            elif posting.is_money:
                assert result.outcome in (Outcome.SETTLED, Outcome.DUPLICATE)
            else:
                assert result.outcome is Outcome.AWAITING_PAYMENT


def test_any_deliveries_settle_each_order_exactly_once(cachao: Cachao) -> None:
    Deliveries.cachao = cachao
    run_state_machine_as_test(
        Deliveries, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )


def test_delivery_waits_for_the_one_that_settles_the_same_order(cachao: Cachao) -> None:
    """The race itself, made certain: the second arrives while the first is inside."""
    order = cachao.add_order()
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))
        first, second = (stack.enter_context(closing(cachao.database())) for _ in range(2))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        event = event_for(order)
        settling = pool.submit(deliver, event, first)
        cachao.wait_for_lock(1)
        waiting = pool.submit(deliver, event, second)
        cachao.wait_for_lock(2)
        holder.close()

        assert settling.result(SECONDS).outcome is Outcome.SETTLED
        assert waiting.result(SECONDS).outcome is Outcome.DUPLICATE
    assert cachao.counters(order) == cachao.counted(2, 1)


def test_news_of_an_unpaid_session_waits_for_the_settlement(cachao: Cachao) -> None:
    order = cachao.add_order()
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))
        first, second = (stack.enter_context(closing(cachao.database())) for _ in range(2))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        settling = pool.submit(deliver, event_for(order, payment="a"), first)
        cachao.wait_for_lock(1)
        unpaid = event_for(order, payment="b", payment_status="unpaid")
        noting = pool.submit(deliver, unpaid, second)
        cachao.wait_for_lock(2)
        holder.close()

        assert settling.result(SECONDS).outcome is Outcome.SETTLED
        assert noting.result(SECONDS).outcome is Outcome.AWAITING_PAYMENT
    assert cachao.status(order) == "paid"


def test_order_that_is_being_cancelled_is_waited_for(cachao: Cachao) -> None:
    order = cachao.add_order()
    with ExitStack() as stack:
        service = stack.enter_context(closing(cachao.connect()))
        service.begin()
        with service.cursor() as cursor:
            cursor.execute(
                "UPDATE {orders} SET {status} = 'cancelled'".format_map(cachao.tables.names())
            )
        database = stack.enter_context(closing(cachao.database()))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        paying = pool.submit(deliver, event_for(order), database)
        cachao.wait_for_lock()
        service.commit()

        assert paying.result(SECONDS).anomaly is AnomalyKind.LATE_PAYMENT
    assert (cachao.status(order), cachao.counters(order)) == ("cancelled", cachao.counted(0, 0))


def test_200_first_deliveries_of_one_event_settle_once(cachao: Cachao) -> None:
    order = cachao.add_order(quantity=3)
    event = event_for(order)
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(cachao.database())) for _ in range(20)]
        pool = stack.enter_context(ThreadPoolExecutor(len(databases)))
        start = Barrier(len(databases))

        def work(database: Database) -> list[Outcome]:
            database.query("DO 0", Deadline(60))
            start.wait(SECONDS)
            return [deliver(event, database).outcome for _ in range(10)]

        outcomes = Counter(outcome for lane in pool.map(work, databases) for outcome in lane)

    assert outcomes == {Outcome.SETTLED: 1, Outcome.DUPLICATE: 199}
    assert cachao.counters(order) == cachao.counted(3, 1)


def test_sale_of_one_hot_ticket_loses_no_order(cachao: Cachao) -> None:
    ticket = cachao.add_ticket()
    code = cachao.add_discount_code()
    orders = [
        cachao.add_order(quantity=2, ticket_id=ticket, discount_code_id=code) for _ in range(120)
    ]
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(cachao.database())) for _ in range(12)]
        pool = stack.enter_context(ThreadPoolExecutor(len(databases)))

        def work(lane: int) -> None:
            for order in orders[lane :: len(databases)]:
                deliver(event_for(order, payment=str(order.id)), databases[lane])

        list(pool.map(work, range(len(databases))))

    assert cachao.counters(orders[0]) == cachao.counted(240, 120)
    assert cachao.shop_query("SELECT COUNT(*) FROM {orders} WHERE {status} = 'paid'") == [(120,)]


def test_sale_in_overlapping_batches_settles_each_order_once(cachao: Cachao) -> None:
    """Each event is in two batches, forwards and backwards, as a queue may deliver it twice."""
    ticket = cachao.add_ticket()
    code = cachao.add_discount_code()
    orders = [
        cachao.add_order(quantity=2, ticket_id=ticket, discount_code_id=code) for _ in range(120)
    ]
    events = [event_for(order, payment=str(order.id)) for order in orders]
    batches = [events[start : start + 20] for start in range(0, 120, 20)]
    batches += [list(reversed(events[start : start + 20])) for start in range(-10, 110, 20)]
    batches[6] = list(reversed(events[:10] + events[110:]))
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(cachao.database())) for _ in range(6)]
        pool = stack.enter_context(ThreadPoolExecutor(len(databases)))

        def work(lane: int) -> list[Outcome]:
            return [
                result.outcome
                for batch in batches[lane :: len(databases)]
                for result in deliver_batch(batch, databases[lane])
            ]

        found = Counter(each for lane in pool.map(work, range(len(databases))) for each in lane)

    assert found == {Outcome.SETTLED: 120, Outcome.DUPLICATE: 120}
    assert cachao.counters(orders[0]) == cachao.counted(240, 120)
