"""Reconciliation on a real MariaDB, against a mock of Stripe that Stripe's own library talks to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from local.fake_stripe.server import StripeServer
from local.servers.mariadb import MariaDBServer
from local.shop import Order
from settlement.adapters.database import Database
from settlement.adapters.reconciliation_ledger import MariaDBReconciliationLedger
from settlement.adapters.stripe_api import StripeApi
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Result, Route
from settlement.domain.reconciliation import Limits, ListedEvent, Progress, Run, reconcile
from settlement.errors import LedgerUnavailable, StripeUnavailable
from tests.support.cachao import Cachao, ShopDatabase, deliver, deliver_each
from tests.support.waiting import SECONDS, within

LIMITS = Limits()
EVENTS = ("GET", "/v1/events")


class Key:
    """A secret that holds one key, and another one after it was refused."""

    def __init__(self, key: str, rotated: str | None = None) -> None:
        self._key = key
        self._rotated = rotated

    def read(self, deadline: Deadline) -> str:
        return self._key

    def read_again(self, deadline: Deadline) -> str | None:
        return self._rotated


class Reconciler:
    """Runs as the function does, with a clock of its own."""

    def __init__(self, cachao: Cachao, stripe: StripeServer, database: ShopDatabase) -> None:
        self.cachao = cachao
        self.stripe = stripe
        self.database = database
        self.pauses: list[float] = []
        self.queries = 0
        """What the ledger was asked about listed events."""
        self.key = Key(stripe.account.test_key)

    def run(self, *, seconds: float = 60, now: datetime | None = None) -> Run:
        with closing(self.cachao.database()) as database:
            return reconcile(
                StripeApi(self.key, livemode=False, sleep=self.pauses.append),
                self.Ledger(self, database),
                lambda events: deliver_each(events, self.database, route=Route.RECONCILIATION),
                limits=LIMITS,
                now=now or datetime.now(UTC),
                deadline=Deadline(seconds),
            )

    class Ledger(MariaDBReconciliationLedger):
        """Counts the queries, each of which is one statement."""

        def __init__(self, reconciler: Reconciler, database: Database) -> None:
            super().__init__(database, livemode=False)
            self._reconciler = reconciler

        def known(self, events: Sequence[ListedEvent], deadline: Deadline) -> set[str]:
            self._reconciler.queries += 1
            return super().known(events, deadline)

    def pay(self, order: Order, *, minutes_ago: float = 30, **changes: Any) -> dict[str, Any]:
        """Pay an order at Stripe, and lose every delivery of it."""
        return self.stripe.create_paid_checkout(
            amount=changes.get("amount", order.amount),
            currency=order.currency,
            metadata={"order_id": str(order.id)},
            created=int(time.time() - minutes_ago * 60),
            deliver=False,
        )

    def progress(self) -> Progress | None:
        with closing(self.cachao.database()) as database:
            ledger = MariaDBReconciliationLedger(database, livemode=False)
            return ledger.read_progress(Deadline(10))


@pytest.fixture
def reconciler(
    cachao: Cachao,
    stripe_server: StripeServer,
    database: ShopDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reconciler]:
    monkeypatch.setenv("STRIPE_API_BASE", stripe_server.url)
    cachao.query("DELETE FROM reconciliation")
    yield Reconciler(cachao, stripe_server, database)
    cachao.query("DELETE FROM reconciliation")


def test_what_neither_route_brought_is_settled_once(reconciler: Reconciler) -> None:
    order = reconciler.cachao.add_order()
    reconciler.pay(order)
    assert reconciler.run().settled == 1
    assert reconciler.run().settled == 0
    assert reconciler.cachao.status(order) == "paid"
    assert reconciler.cachao.settlements(order) == 1
    assert reconciler.cachao.value("SELECT route FROM settlements") == "reconciliation"


def test_what_a_route_brought_is_only_asked_about(reconciler: Reconciler) -> None:
    order = reconciler.cachao.add_order()
    event = reconciler.pay(order)
    deliver(event, reconciler.database, route=Route.WEBHOOK)
    run = reconciler.run()
    assert (run.listed, run.handled) == (1, 0)
    assert reconciler.cachao.value("SELECT route FROM settlements") == "webhook"


def test_a_known_anomaly_is_left_to_the_operator(reconciler: Reconciler) -> None:
    order = reconciler.cachao.add_order()
    reconciler.pay(order, amount=order.amount + 500)
    first, second = reconciler.run(), reconciler.run()
    assert (first.handled, first.settled) == (1, 0)
    assert second.handled == 0
    assert reconciler.cachao.value("SELECT COUNT(*) FROM payment_anomalies") == 1


def test_a_later_payment_of_a_session_that_awaited_it_is_settled(reconciler: Reconciler) -> None:
    order = reconciler.cachao.add_order()
    session = reconciler.stripe.create_checkout(
        amount=order.amount, currency=order.currency, metadata={"order_id": str(order.id)}
    )["id"]
    an_hour_ago = int(time.time()) - 3600
    event = reconciler.stripe.pay(session, paid=False, created=an_hour_ago, deliver=False)
    deliver(event, reconciler.database)
    reconciler.stripe.settle_later(session, created=an_hour_ago + 60, deliver=False)
    run = reconciler.run()
    assert (run.listed, run.handled, run.settled) == (2, 1, 1)
    assert reconciler.cachao.status(order) == "paid"


def test_every_page_is_one_request_and_one_query(reconciler: Reconciler) -> None:
    for _ in range(250):
        reconciler.pay(reconciler.cachao.add_order())
    assert reconciler.run().settled == 250
    assert reconciler.stripe.request_count(method=EVENTS[0], path=EVENTS[1]) == 3
    assert reconciler.queries == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_stripe_is_asked_again_within_the_run(reconciler: Reconciler, status: int) -> None:
    reconciler.pay(reconciler.cachao.add_order())
    reconciler.stripe.inject(path=EVENTS[1], status=status, times=2)
    assert reconciler.run().settled == 1
    assert len(reconciler.pauses) == 2


def test_stripe_is_asked_again_no_sooner_than_it_says(reconciler: Reconciler) -> None:
    reconciler.stripe.inject(path=EVENTS[1], status=429, retry_after=17)
    reconciler.run()
    assert len(reconciler.pauses) == 1
    assert reconciler.pauses[0] >= 17


def test_a_pause_beyond_the_time_left_ends_the_run(reconciler: Reconciler) -> None:
    reconciler.pay(reconciler.cachao.add_order())
    reconciler.stripe.inject(path=EVENTS[1], status=429, retry_after=600)
    before = reconciler.run()
    assert isinstance(before.error, StripeUnavailable)
    assert reconciler.pauses == []
    assert reconciler.run().settled == 1


def test_a_stripe_that_does_not_answer_takes_no_more_than_the_time_of_the_run(
    reconciler: Reconciler,
) -> None:
    reconciler.pay(reconciler.cachao.add_order())
    reconciler.stripe.inject(path=EVENTS[1], seconds=10 * SECONDS)
    with within("the run to end", seconds=SECONDS):
        run = reconciler.run(seconds=4)
    assert isinstance(run.error, StripeUnavailable)
    assert reconciler.run().settled == 1


def test_a_key_that_was_rotated_is_read_again(reconciler: Reconciler) -> None:
    reconciler.pay(reconciler.cachao.add_order())
    reconciler.key = Key("sk_test_revoked", rotated=reconciler.stripe.account.test_key)
    assert reconciler.run().settled == 1


def test_a_key_that_may_not_read_events_says_so_and_is_not_repeated(
    reconciler: Reconciler,
) -> None:
    reconciler.key = Key(reconciler.stripe.add_key(permissions=["webhook_write"]))
    error = reconciler.run().error
    assert isinstance(error, StripeUnavailable)
    assert "403" in str(error)
    assert reconciler.pauses == []


def test_what_an_outage_left_is_settled_in_one_transaction(reconciler: Reconciler) -> None:
    orders = [reconciler.cachao.add_order() for _ in range(7)]
    for order in orders:
        reconciler.pay(order)

    assert reconciler.run().settled == 7

    cachao = reconciler.cachao
    assert cachao.value("SELECT COUNT(DISTINCT settled_at) FROM settlements") == 1
    assert {cachao.status(order) for order in orders} == {"paid"}
    assert cachao.query("SELECT DISTINCT route FROM settlements") == [("reconciliation",)]


def test_a_run_without_time_moves_no_watermark(reconciler: Reconciler) -> None:
    reconciler.run()
    before = reconciler.progress()
    order = reconciler.cachao.add_order()
    reconciler.pay(order)
    with pytest.raises(LedgerUnavailable):
        reconciler.run(seconds=0)
    assert reconciler.progress() == before


def test_an_outage_of_the_database_in_the_middle_of_a_run_leaves_no_gap(
    server: MariaDBServer, stripe_server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_BASE", stripe_server.url)
    cachao = Cachao(server)
    orders = [cachao.add_order() for _ in range(6)]
    with closing(cachao.database()) as database:
        reconciler = Reconciler(cachao, stripe_server, database)
        for minutes, order in zip(range(40, 34, -1), orders, strict=True):
            reconciler.pay(order, minutes_ago=minutes)
        settled: list[object] = []

        def settle_until_it_breaks(events: Sequence[object]) -> Iterator[tuple[int, Result]]:
            for place, event in enumerate(events):
                if len(settled) == 3:
                    server.kill()
                settled.append(event)
                yield place, deliver(event, database, route=Route.RECONCILIATION, seconds=3)

        with closing(cachao.database()) as own, pytest.raises(LedgerUnavailable):
            reconcile(
                StripeApi(reconciler.key, livemode=False),
                MariaDBReconciliationLedger(own, livemode=False),
                settle_until_it_breaks,
                limits=LIMITS,
                now=datetime.now(UTC),
                deadline=Deadline(10),
            )
        server.start()
        assert reconciler.run().settled == 3
    assert [cachao.settlements(order) for order in orders] == [1] * 6
    assert len(settled) == 4, "after an error of the database no other event is tried"


def test_the_watermark_is_kept_and_never_goes_back(reconciler: Reconciler) -> None:
    now = datetime.now(UTC)
    reconciler.run(now=now)
    reconciler.run(now=now - LIMITS.young_after)
    assert reconciler.progress() == Progress(
        watermark=(now - LIMITS.young_after).replace(microsecond=0)
    )
