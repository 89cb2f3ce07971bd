"""One event, one committed outcome: what is asked of the ledger, and what its answer means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from settlement import handle_stripe_event
from settlement.domain.outcomes import AnomalyKind, Outcome, Result, Route, Verdict
from settlement.domain.payments import Rules
from settlement.domain.service import Delivery
from settlement.errors import (
    ConfigurationError,
    LedgerUnavailable,
    OrderNotYetKnown,
    RejectedDelivery,
    SecretUnavailable,
)
from tests.support.events import ASYNC_FAILED, OTHER_TYPE, PAID, THIN, UNPAID, load, session_event
from tests.support.invocations import NOW, AnsweringLedger, plenty_of_time

SETTLED = Verdict(Outcome.SETTLED)
GRACE = Rules().order_grace


def handle(
    value: object,
    ledger: AnsweringLedger,
    *,
    route: Route = Route.EVENTBRIDGE,
    after: timedelta = timedelta(0),
    **rules: Any,
) -> Result:
    delivery = Delivery(route=route, received_at=NOW + after, deadline=plenty_of_time())
    return handle_stripe_event(value, delivery, ledger=ledger, rules=Rules(**rules))


@pytest.mark.parametrize(
    "verdict",
    [
        SETTLED,
        Verdict(Outcome.DUPLICATE),
        Verdict(Outcome.AWAITING_PAYMENT),
        Verdict(Outcome.ANOMALY, AnomalyKind.AMOUNT_MISMATCH),
    ],
)
def test_the_result_is_what_the_ledger_committed(verdict: Verdict) -> None:
    result = handle(load(PAID), AnsweringLedger(verdict))
    assert (result.outcome, result.anomaly, result.error) == (
        verdict.outcome,
        verdict.anomaly,
        None,
    )


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
    [(payment, delivery, _)] = ledger.settled
    assert (payment.order_id, payment.event.id) == (42, load(name)["id"])
    assert (delivery.route, delivery.received_at, ledger.anomalies) == (route, NOW, [])


@pytest.mark.parametrize(
    "value", [load(OTHER_TYPE), session_event(mode="setup"), session_event(metadata={})]
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
    ledger = AnsweringLedger(Verdict(Outcome.ANOMALY, kind))
    result = handle(value, ledger)
    [(anomaly, _)] = ledger.anomalies
    assert (anomaly.kind, result.anomaly, ledger.settled) == (kind, kind, [])
    assert result.reason == anomaly.detail


@pytest.mark.parametrize(
    ("after", "may_be_late"),
    [
        (timedelta(0), True),
        (GRACE, True),
        (GRACE + timedelta(microseconds=1), False),
        (timedelta(days=3), False),
        (-timedelta(days=1), True),
    ],
    ids=str,
)
def test_an_order_may_be_late_within_the_grace_time(after: timedelta, may_be_late: bool) -> None:
    ledger = AnsweringLedger(SETTLED)
    handle(load(PAID), ledger, after=after)
    assert [late for _, _, late in ledger.settled] == [may_be_late]


def test_no_grace_time_makes_an_unknown_order_an_anomaly_at_once() -> None:
    ledger = AnsweringLedger(SETTLED)
    handle(load(PAID), ledger, after=timedelta(seconds=1), order_grace=timedelta(0))
    assert [late for _, _, late in ledger.settled] == [False]


def test_an_order_that_may_yet_come_is_a_retry() -> None:
    result = handle(load(PAID), AnsweringLedger(None), after=timedelta(seconds=5))
    assert result.outcome is Outcome.RETRY
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


def test_what_is_no_stripe_event_is_rejected() -> None:
    with pytest.raises(RejectedDelivery):
        handle({"hello": "world"}, AnsweringLedger(SETTLED))
