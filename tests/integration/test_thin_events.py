"""Thin events on a real MariaDB, their sessions fetched by Stripe's own library from a mock."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.fake_stripe.server import StripeServer
from local.shop import Order
from settlement.adapters.stripe_api import StripeApi
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import AnomalyKind, Outcome, Result, Route
from settlement.domain.payments import Rules
from settlement.errors import ConfigurationError, StripeUnavailable
from tests.support.cachao import Cachao, ShopDatabase, deliver, deliver_batch

pytestmark = pytest.mark.both_shapes

SESSIONS = "/v1/checkout/sessions/.*"
EMAIL = "jane.doe@example.com"
SECONDS = 1.0
"""What a delivery has where Stripe does not answer."""


class Key:
    """A secret that holds one key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def read(self, deadline: Deadline) -> str:
        return self._key

    def read_again(self, deadline: Deadline) -> str | None:
        return None


class Thin:
    """Takes payments at Stripe and hands their events over, thin or not."""

    def __init__(self, cachao: Cachao, stripe: StripeServer, database: ShopDatabase) -> None:
        self.cachao = cachao
        self.stripe = stripe
        self.database = database
        self.pauses: list[float] = []
        self.account: str | None = None
        self.use(stripe.add_key(permissions=["checkout_session_read"]))

    def use(self, key: str) -> None:
        self.key = key
        self.api = StripeApi(Key(key), livemode=False, sleep=self.pauses.append)

    def checkout(self, order: Order) -> str:
        session = self.stripe.create_checkout(
            amount=order.amount, currency=order.currency, metadata={"order_id": str(order.id)}
        )
        return str(session["id"])

    def thin(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        """The thin form of an event, as it is delivered."""
        events = self.stripe.account.test.thin_events.values()
        return next(each for each in events if each["snapshot_event"] == snapshot["id"])

    def pay(self, order: Order) -> tuple[dict[str, Any], dict[str, Any]]:
        """The events of a payment: snapshot and thin. Nothing is delivered."""
        snapshot = self.stripe.pay(self.checkout(order), deliver=False)
        return snapshot, self.thin(snapshot)

    def deliver(self, event: object, **changes: Any) -> Result:
        return deliver(event, self.database, sessions=lambda: self.api, **changes)

    def fetched(self) -> int:
        return sum(
            count for (_, path), count in self.stripe.requests.items() if path.startswith("/v1/ch")
        )


@pytest.fixture
def thin(
    cachao: Cachao,
    stripe_server: StripeServer,
    database: ShopDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> Thin:
    monkeypatch.setenv("STRIPE_API_BASE", stripe_server.url)
    return Thin(cachao, stripe_server, database)


@pytest.mark.parametrize("route", [Route.EVENTBRIDGE, Route.WEBHOOK])
def test_a_thin_event_settles_its_order_like_a_snapshot(thin: Thin, route: Route) -> None:
    order = thin.cachao.add_order()
    _, event = thin.pay(order)
    result = thin.deliver(event, route=route)
    assert (result.outcome, result.order_id, result.error) == (Outcome.SETTLED, order.id, None)
    assert thin.cachao.status(order) == "paid"
    assert thin.cachao.counters(order) == thin.cachao.counted(2, 1)
    recorded = thin.cachao.query("SELECT event_id, type, route, api_version FROM stripe_events")
    assert recorded == [(event["id"], "v1.checkout.session.completed", route.value, None)]


@pytest.mark.parametrize("first", ["thin", "snapshot"])
def test_thin_and_snapshot_of_one_payment_settle_once(thin: Thin, first: str) -> None:
    order = thin.cachao.add_order()
    snapshot, event = thin.pay(order)
    deliveries = [snapshot, event] if first == "snapshot" else [event, snapshot]
    outcomes = [thin.deliver(each).outcome for each in deliveries * 2]
    assert outcomes == [Outcome.SETTLED, *[Outcome.DUPLICATE] * 3]
    assert thin.cachao.settlements(order) == 1
    assert thin.cachao.counters(order) == thin.cachao.counted(2, 1)


def test_the_anomaly_of_a_thin_event_and_of_its_snapshot_is_one(thin: Thin) -> None:
    order = thin.cachao.add_order()
    snapshot, event = thin.pay(replace(order, amount=order.amount + 100))
    results = [thin.deliver(each) for each in (event, snapshot)]
    assert [each.anomaly for each in results] == [AnomalyKind.AMOUNT_MISMATCH] * 2
    assert thin.cachao.value("SELECT COUNT(*) FROM payment_anomalies") == 1


def test_a_snapshot_asks_stripe_nothing(thin: Thin) -> None:
    snapshot, _ = thin.pay(thin.cachao.add_order())
    before = thin.fetched()
    thin.deliver(snapshot)
    assert thin.fetched() == before


def test_a_payment_that_comes_later_settles_by_thin_events_alone(thin: Thin) -> None:
    order = thin.cachao.add_order()
    session = thin.checkout(order)
    unpaid = thin.thin(thin.stripe.pay(session, paid=False, deliver=False))
    assert thin.deliver(unpaid).outcome is Outcome.AWAITING_PAYMENT
    assert thin.cachao.status(order) == "processing"
    paid = thin.thin(thin.stripe.settle_later(session, deliver=False))
    assert thin.deliver(paid).outcome is Outcome.SETTLED


def test_an_event_that_is_overtaken_by_the_payment_settles_it(thin: Thin) -> None:
    order = thin.cachao.add_order()
    session = thin.checkout(order)
    unpaid = thin.thin(thin.stripe.pay(session, paid=False, deliver=False))
    paid = thin.thin(thin.stripe.settle_later(session, deliver=False))
    assert thin.deliver(unpaid).outcome is Outcome.SETTLED
    assert thin.deliver(paid).outcome is Outcome.DUPLICATE
    assert thin.cachao.settlements(order) == 1


def test_a_payment_that_fails_later_is_marked(thin: Thin) -> None:
    order = thin.cachao.add_order()
    session = thin.checkout(order)
    thin.stripe.pay(session, paid=False, deliver=False)
    failed = thin.thin(thin.stripe.settle_later(session, succeeded=False, deliver=False))
    assert thin.deliver(failed).outcome is Outcome.AWAITING_PAYMENT
    assert thin.cachao.status(order) == "payment_failed"


def test_without_a_key_a_thin_event_is_an_anomaly_that_names_its_session(thin: Thin) -> None:
    order = thin.cachao.add_order()
    snapshot, event = thin.pay(order)
    result = deliver(event, thin.database)
    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.THIN_EVENT)
    kept = thin.cachao.query("SELECT kind, session_id, order_id FROM payment_anomalies")
    assert kept == [("thin_event", snapshot["data"]["object"]["id"], None)]
    assert thin.cachao.settlements(order) == 0


def test_a_session_that_stripe_does_not_have_is_an_anomaly(thin: Thin) -> None:
    _, event = thin.pay(thin.cachao.add_order())
    thin.stripe.inject(path=SESSIONS, status=404)
    result = thin.deliver(event)
    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.THIN_EVENT)
    assert thin.cachao.value("SELECT detail FROM payment_anomalies").startswith(
        "Stripe has no such"
    )
    assert thin.pauses == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_stripe_is_asked_again_within_the_delivery(thin: Thin, status: int) -> None:
    order = thin.cachao.add_order()
    _, event = thin.pay(order)
    thin.stripe.inject(path=SESSIONS, status=status, times=2)
    assert thin.deliver(event).outcome is Outcome.SETTLED
    assert len(thin.pauses) == 2


def test_stripe_is_asked_again_no_sooner_than_it_says(thin: Thin) -> None:
    _, event = thin.pay(thin.cachao.add_order())
    thin.stripe.inject(path=SESSIONS, status=429, retry_after=17)
    assert thin.deliver(event, seconds=60).outcome is Outcome.SETTLED
    assert thin.pauses[0] >= 17


@pytest.mark.parametrize(
    "fault",
    [{"status": 429, "retry_after": 600}, {"status": 500}, {"seconds": 30}],
    ids=["no sooner than in ten minutes", "every time", "no answer"],
)
def test_a_session_that_is_not_to_be_had_in_time_is_a_retry_and_then_settles(
    thin: Thin, fault: dict[str, Any]
) -> None:
    order = thin.cachao.add_order()
    _, event = thin.pay(order)
    thin.api = StripeApi(Key(thin.key), livemode=False)
    thin.stripe.inject(path=SESSIONS, times=1000, **fault)
    result = thin.deliver(event, seconds=SECONDS)
    assert (result.outcome, type(result.error)) == (Outcome.RETRY, StripeUnavailable)
    assert thin.cachao.settlements(order) == 0
    thin.stripe.clear_faults()
    assert thin.deliver(event).outcome is Outcome.SETTLED


def test_a_key_that_may_not_read_sessions_says_so_and_is_not_repeated(thin: Thin) -> None:
    _, event = thin.pay(thin.cachao.add_order())
    thin.use(thin.stripe.add_key(permissions=["webhook_read"]))
    result = thin.deliver(event)
    assert (result.outcome, thin.pauses) == (Outcome.RETRY, [])
    assert "403" in str(result.reason)
    assert thin.key not in str(result.reason)


def test_a_key_of_the_other_mode_asks_nothing(thin: Thin) -> None:
    _, event = thin.pay(thin.cachao.add_order())
    thin.use(thin.stripe.account.live_key)
    before = thin.fetched()
    result = thin.deliver(event)
    assert isinstance(result.error, ConfigurationError)
    assert thin.key not in str(result.reason)
    assert thin.fetched() == before


@pytest.mark.parametrize("own", [True, False], ids=["the key's account", "another account"])
def test_a_session_is_asked_for_in_the_account_whose_event_it_is(thin: Thin, *, own: bool) -> None:
    order = thin.cachao.add_order()
    account = thin.stripe.account.id if own else "acct_another"
    _, event = thin.pay(order)
    thin.api = StripeApi(Key(thin.key), livemode=False, account=account)
    result = thin.deliver({**event, "context": account}, rules=Rules(account=account))
    assert result.outcome is (Outcome.SETTLED if own else Outcome.RETRY)
    assert thin.cachao.settlements(order) == own


def test_an_answer_about_another_session_settles_nothing(thin: Thin) -> None:
    order, other = thin.cachao.add_order(), thin.cachao.add_order()
    (snapshot, event), (another, _) = thin.pay(order), thin.pay(other)
    sessions = thin.stripe.account.test.sessions
    sessions[snapshot["data"]["object"]["id"]] = sessions[another["data"]["object"]["id"]]
    result = thin.deliver(event)
    assert (result.outcome, type(result.error)) == (Outcome.RETRY, StripeUnavailable)
    assert [thin.cachao.settlements(each) for each in (order, other)] == [0, 0]


def test_thin_events_in_a_batch_settle_one_by_one(thin: Thin) -> None:
    orders = [thin.cachao.add_order() for _ in range(4)]
    paid = [thin.pay(order) for order in orders]
    events = [paid[0][0], paid[1][1], paid[2][0], paid[3][1]]
    results = deliver_batch(events, thin.database, sessions=lambda: thin.api)
    assert [result.outcome for result in results] == [Outcome.SETTLED] * 4
    assert [thin.cachao.settlements(order) for order in orders] == [1] * 4


@pytest.mark.service_tables
def test_the_payer_stands_in_the_order_and_in_no_log(
    thin: Thin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    order = thin.cachao.add_order()
    session = thin.checkout(order)
    thin.stripe.account.test.sessions[session]["customer_email"] = EMAIL
    event = thin.thin(thin.stripe.pay(session, deliver=False))
    thin.stripe.inject(path=SESSIONS, status=500)
    assert thin.deliver(event).outcome is Outcome.SETTLED
    kept = thin.cachao.value("SELECT {email} FROM {orders}".format_map(thin.cachao.tables.names()))
    assert kept == EMAIL
    assert EMAIL not in caplog.text
    assert thin.key not in caplog.text


class DrippingServer:
    """Answers by the byte, one every tenth of a second: no wait for a byte is long."""

    WAITS = 100

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(self.WAITS):
                if self._ending.wait(0.1):
                    break
                connection.sendall(b" ")


@pytest.fixture
def dripping() -> Iterator[DrippingServer]:
    server = DrippingServer()
    yield server
    server.stop()


def test_an_answer_that_never_ends_is_given_up_at_the_deadline(
    thin: Thin, dripping: DrippingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = thin.pay(thin.cachao.add_order())
    monkeypatch.setenv("STRIPE_API_BASE", dripping.url)
    result = thin.deliver(event, seconds=SECONDS)
    assert isinstance(result.error, StripeUnavailable)
    assert "TimeoutError" in str(result.reason)
