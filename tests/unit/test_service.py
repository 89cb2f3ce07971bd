"""One event, one committed outcome: what is asked of the ledger, what follows from its verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from settlement import handle_stripe_event
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import AnomalyKind, Outcome, Result, Route, Verdict
from settlement.domain.payments import Anomaly, Rules
from settlement.domain.service import Delivery, Parts
from settlement.errors import (
    ConfigurationError,
    DeliveryTooLarge,
    LedgerUnavailable,
    OrderNotYetKnown,
    RejectedDelivery,
    SecretUnavailable,
    StripeUnavailable,
    UnexpectedFailure,
)
from tests.support.events import (
    ASYNC_FAILED,
    OTHER_TYPE,
    PAID,
    THIN,
    UNPAID,
    Json,
    load,
    session_event,
)
from tests.support.invocations import NOW, AnsweringLedger, plenty_of_time

SETTLED = Verdict(Outcome.SETTLED)
UNKNOWN = Verdict(anomaly=AnomalyKind.UNKNOWN_ORDER)
GRACE = Rules().order_grace


class Stripe:
    """Has one session, none, or is away: a stub of the service's ``Sessions``."""

    def __init__(self, answer: Json | Exception | None) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.loaded = 0

    def __call__(self) -> Stripe:
        self.loaded += 1
        return self

    def session(self, session_id: str, deadline: Deadline) -> Json | None:
        """See :class:`settlement.domain.service.Sessions`."""
        self.asked.append(session_id)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def handle(
    value: object,
    ledger: AnsweringLedger,
    *,
    route: Route = Route.EVENTBRIDGE,
    after: timedelta = timedelta(0),
    sessions: Stripe | None = None,
    **rules: Any,
) -> Result:
    delivery = Delivery(route=route, received_at=NOW + after, deadline=plenty_of_time())
    parts = Parts(ledger=ledger, rules=Rules(**rules), sessions=sessions)
    return handle_stripe_event(lambda: value, delivery, lambda: parts)


@pytest.mark.parametrize("outcome", [Outcome.SETTLED, Outcome.DUPLICATE, Outcome.AWAITING_PAYMENT])
def test_the_outcome_is_what_the_ledger_committed(outcome: Outcome) -> None:
    ledger = AnsweringLedger(Verdict(outcome))
    result = handle(load(PAID), ledger)
    assert (result.outcome, result.anomaly, result.error) == (outcome, None, None)
    assert ledger.anomalies == []


def test_a_payment_that_does_not_settle_its_order_is_recorded_as_an_anomaly() -> None:
    ledger = AnsweringLedger(Verdict(None, AnomalyKind.LATE_PAYMENT, "the order is cancelled"))
    result = handle(load(PAID), ledger)
    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.LATE_PAYMENT)
    [(payment, _)], [(anomaly, _)] = ledger.settled, ledger.anomalies
    assert (anomaly.kind, anomaly.detail) == (AnomalyKind.LATE_PAYMENT, "the order is cancelled")
    assert (anomaly.order_id, anomaly.session_id) == (42, payment.session_id)
    assert (anomaly.amount, anomaly.currency) == (payment.amount, payment.currency)
    assert anomaly.payment_intent_id == payment.payment_intent_id


def test_an_anomaly_that_could_not_be_recorded_is_a_retry() -> None:
    class Ledger(AnsweringLedger):
        def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> None:
            raise LedgerUnavailable("why")

    result = handle(load(PAID), Ledger(Verdict(anomaly=AnomalyKind.LATE_PAYMENT)))
    assert (result.outcome, result.anomaly, result.reason) == (Outcome.RETRY, None, "why")


def test_a_verdict_that_says_nothing_is_a_defect_and_a_retry() -> None:
    result = handle(load(PAID), AnsweringLedger(Verdict()))
    assert result.outcome is Outcome.RETRY
    assert isinstance(result.error, UnexpectedFailure)


def test_the_result_carries_the_ids_an_operator_searches_for() -> None:
    value = load(PAID)
    result = handle(value, AnsweringLedger(SETTLED))
    assert (result.event_id, result.event_type) == (value["id"], value["type"])
    assert (result.order_id, result.session_id) == (42, value["data"]["object"]["id"])
    assert result.event_created == NOW


@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("name", [PAID, UNPAID, ASYNC_FAILED])
def test_a_payment_is_given_to_the_ledger_once_whatever_the_route(name: str, route: Route) -> None:
    ledger = AnsweringLedger(SETTLED)
    handle(load(name), ledger, route=route)
    [(payment, delivery)] = ledger.settled
    assert (payment.order_id, payment.event.id) == (42, load(name)["id"])
    assert (delivery.route, delivery.received_at, ledger.anomalies) == (route, NOW, [])


@pytest.mark.parametrize(
    "value",
    [
        load(OTHER_TYPE),
        session_event(mode="setup", payment_status="no_payment_required"),
        session_event(metadata={}),
    ],
)
def test_what_is_not_ours_never_reaches_the_ledger(value: object) -> None:
    ledger = AnsweringLedger(AssertionError("the ledger was asked"))
    result = handle(value, ledger)
    assert result.outcome is Outcome.IGNORED
    assert result.reason


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (load(THIN), AnomalyKind.THIN_EVENT),
        (session_event(order_id="1 OR 1"), AnomalyKind.MALFORMED_ORDER_ID),
        (session_event(amount_total=None), AnomalyKind.MALFORMED_SESSION),
    ],
    ids=["thin", "order id", "session"],
)
def test_what_cannot_be_read_is_recorded_as_an_anomaly(value: object, kind: AnomalyKind) -> None:
    ledger = AnsweringLedger(SETTLED)
    result = handle(value, ledger)
    [(anomaly, _)] = ledger.anomalies
    assert (anomaly.kind, result.anomaly, ledger.settled) == (kind, kind, [])
    assert result.reason == anomaly.detail


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(0), Outcome.RETRY),
        (GRACE, Outcome.RETRY),
        (GRACE + timedelta(microseconds=1), Outcome.ANOMALY),
        (timedelta(days=3), Outcome.ANOMALY),
        (-timedelta(days=1), Outcome.RETRY),
    ],
    ids=str,
)
def test_an_unknown_order_is_retried_within_the_grace_time(
    after: timedelta, outcome: Outcome
) -> None:
    ledger = AnsweringLedger(UNKNOWN)
    result = handle(load(PAID), ledger, after=after)
    assert result.outcome is outcome
    assert len(ledger.anomalies) == (outcome is Outcome.ANOMALY)


def test_no_grace_time_makes_an_unknown_order_an_anomaly_at_once() -> None:
    ledger = AnsweringLedger(UNKNOWN)
    result = handle(load(PAID), ledger, after=timedelta(seconds=1), order_grace=timedelta(0))
    assert result.anomaly is AnomalyKind.UNKNOWN_ORDER


def test_an_order_that_may_yet_come_is_a_retry_that_says_so() -> None:
    result = handle(load(PAID), AnsweringLedger(UNKNOWN), after=timedelta(seconds=5))
    assert isinstance(result.error, OrderNotYetKnown)
    assert "order 42 does not exist; the event is 5 s old" in str(result.reason)


@pytest.mark.parametrize("error", [LedgerUnavailable, SecretUnavailable, ConfigurationError])
@pytest.mark.parametrize("name", [PAID, THIN])
def test_a_ledger_that_cannot_commit_is_a_retry_that_still_names_the_event(
    name: str, error: type[Exception]
) -> None:
    failure = error("why")
    result = handle(load(name), AnsweringLedger(failure))
    assert (result.outcome, result.error, result.reason) == (Outcome.RETRY, failure, "why")
    assert result.event_id == load(name)["id"]
    assert result.session_id is not None


def test_what_is_no_stripe_event_is_unauthenticated() -> None:
    result = handle({"hello": "world"}, AnsweringLedger(SETTLED))
    assert result.outcome is Outcome.UNAUTHENTICATED
    assert isinstance(result.error, RejectedDelivery)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DeliveryTooLarge("why"), Outcome.UNAUTHENTICATED),
        (SecretUnavailable("why"), Outcome.RETRY),
        (ConfigurationError("why"), Outcome.RETRY),
    ],
)
def test_an_event_that_cannot_be_opened_says_why(error: Exception, outcome: Outcome) -> None:
    def fail() -> object:
        raise error

    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())
    result = handle_stripe_event(fail, delivery, lambda: pytest.fail("the ledger was asked"))
    assert (result.outcome, result.error, result.reason) == (outcome, error, "why")


def test_parts_that_cannot_be_built_are_a_retry_that_names_the_event() -> None:
    def fail() -> Parts:
        raise ConfigurationError("why")

    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())
    result = handle_stripe_event(lambda: load(PAID), delivery, fail)
    assert (result.outcome, result.reason) == (Outcome.RETRY, "why")
    assert result.event_id == load(PAID)["id"]


def test_a_defect_is_reported_by_type_and_place_alone() -> None:
    result = handle(load(PAID), AnsweringLedger(KeyError("jenny.rosen@example.com")))
    assert isinstance(result.error, UnexpectedFailure)
    assert "jenny" not in str(result.reason)


@pytest.mark.parametrize("route", [Route.EVENTBRIDGE, Route.WEBHOOK])
def test_a_thin_event_settles_by_the_session_that_it_names(route: Route) -> None:
    ledger, stripe = AnsweringLedger(SETTLED), Stripe(load(PAID)["data"]["object"])
    result = handle(load(THIN), ledger, route=route, sessions=stripe)
    [(payment, _)] = ledger.settled
    assert (result.outcome, result.order_id) == (Outcome.SETTLED, 42)
    assert result.event_id == payment.event.id == load(THIN)["id"]
    assert stripe.asked == [load(THIN)["related_object"]["id"]]


def test_nothing_that_asks_stripe_is_loaded_for_a_snapshot() -> None:
    stripe = Stripe(AssertionError("Stripe was asked"))
    assert handle(load(PAID), AnsweringLedger(SETTLED), sessions=stripe).error is None
    assert stripe.loaded == 0


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"livemode": True}, {"livemode": False}),
        ({"context": "acct_another"}, {"account": "acct_1"}),
        ({"type": "v1.checkout.session.expired"}, {}),
    ],
    ids=["mode", "account", "type"],
)
def test_a_thin_event_that_is_not_ours_is_ignored_and_nothing_is_fetched(
    changes: Json, rules: Json
) -> None:
    stripe = Stripe(AssertionError("Stripe was asked"))
    ledger = AnsweringLedger(AssertionError("the ledger was asked"))
    result = handle({**load(THIN), **changes}, ledger, sessions=stripe, **rules)
    assert (result.outcome, stripe.loaded) == (Outcome.IGNORED, 0)


@pytest.mark.parametrize(
    ("sessions", "why"),
    [(None, "there is no API key"), (Stripe(None), "Stripe has no such session")],
    ids=["no key", "404"],
)
def test_a_thin_event_whose_session_cannot_be_had_is_an_anomaly_of_that_session(
    sessions: Stripe | None, why: str
) -> None:
    ledger = AnsweringLedger(SETTLED)
    result = handle(load(THIN), ledger, sessions=sessions)
    [(anomaly, _)] = ledger.anomalies
    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.THIN_EVENT)
    assert anomaly.session_id == load(THIN)["related_object"]["id"]
    assert why in anomaly.detail


@pytest.mark.parametrize("error", [StripeUnavailable, SecretUnavailable, ConfigurationError])
def test_a_session_that_cannot_be_fetched_now_is_a_retry_that_names_it(
    error: type[Exception],
) -> None:
    ledger = AnsweringLedger(AssertionError("the ledger was asked"))
    result = handle(load(THIN), ledger, sessions=Stripe(error("why")))
    assert (result.outcome, result.reason) == (Outcome.RETRY, "why")
    assert result.session_id == load(THIN)["related_object"]["id"]


def test_a_session_that_was_fetched_and_is_not_ours_is_ignored() -> None:
    session = {**load(PAID)["data"]["object"], "metadata": {}}
    ledger = AnsweringLedger(AssertionError("the ledger was asked"))
    result = handle(load(THIN), ledger, sessions=Stripe(session))
    assert result.outcome is Outcome.IGNORED
