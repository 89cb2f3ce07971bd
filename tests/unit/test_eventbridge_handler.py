"""What Lambda's asynchronous invocation gets back: a response, or an error to deliver again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pymysql
import pytest

import eventbridge_handler
from settlement import bootstrap
from settlement.adapters import connection, secrets
from settlement.domain.outcomes import AnomalyKind, Outcome, Route, Verdict
from settlement.errors import (
    ConfigurationError,
    LedgerUnavailable,
    OrderNotYetKnown,
    RejectedDelivery,
    SettlementError,
    UnexpectedFailure,
)
from tests.support.events import (
    OTHER_TYPE,
    PAID,
    any_paid_event,
    eventbridge_envelope,
    load,
    webhook_request,
)
from tests.support.invocations import COMMITTED, AnsweringLedger, AnyContext, name_of, outcome_of
from tests.support.output import Process

SettleWith = Callable[..., AnsweringLedger]

SETTLED = Verdict(Outcome.SETTLED)
ANY_EVENT = load(PAID)


@pytest.fixture
def receive(process: Process) -> Callable[[object], Any]:
    """Hand an event to the EventBridge function."""
    return lambda event: process.run(eventbridge_handler.handler, event, AnyContext())


@pytest.mark.parametrize("verdict", COMMITTED, ids=name_of)
@pytest.mark.parametrize("name", ["eventbridge_partner", "eventbridge_forwarder"])
def test_a_committed_outcome_returns(
    receive: Any, settle_with: SettleWith, verdict: Verdict, name: str
) -> None:
    settle_with(verdict)
    assert receive(load(name)) == {
        "outcome": outcome_of(verdict),
        "event_id": ANY_EVENT["id"],
        "order_id": "42",
        "anomaly": verdict.anomaly,
    }


def test_an_ignored_event_returns(receive: Any, settle_with: SettleWith) -> None:
    settle_with(AssertionError("the ledger was asked"))
    event = load(OTHER_TYPE)
    assert receive(eventbridge_envelope(event)) == {
        "outcome": "ignored",
        "event_id": event["id"],
        "order_id": None,
        "anomaly": None,
    }


def test_a_retry_raises_so_that_lambda_delivers_again(
    receive: Any, settle_with: SettleWith
) -> None:
    settle_with(LedgerUnavailable("why"))
    with pytest.raises(LedgerUnavailable, match="why"):
        receive(load("eventbridge_partner"))


def test_an_order_that_may_yet_come_raises(receive: Any, settle_with: SettleWith) -> None:
    settle_with(Verdict(anomaly=AnomalyKind.UNKNOWN_ORDER))
    with pytest.raises(OrderNotYetKnown):
        receive(eventbridge_envelope(any_paid_event()))


@pytest.mark.parametrize(
    "event",
    [
        ANY_EVENT,
        webhook_request(ANY_EVENT, timestamp=1795000000),
        {**load("eventbridge_partner"), "source": "x"},
        {},
        None,
    ],
)
def test_what_is_no_delivery_of_stripes_raises(
    receive: Any, settle_with: SettleWith, event: object
) -> None:
    ledger = settle_with(SETTLED)
    with pytest.raises(RejectedDelivery):
        receive(event)
    assert ledger.settled == []


def test_a_defect_raises_without_its_message(receive: Any, settle_with: SettleWith) -> None:
    settle_with(KeyError("jenny.rosen@example.com"))
    with pytest.raises(UnexpectedFailure, match=r"^KeyError at ") as failure:
        receive(load("eventbridge_partner"))
    assert "jenny" not in str(failure.value)
    assert (failure.value.__cause__, failure.value.__context__) == (None, None)


def test_a_defect_in_reading_the_envelope_raises_without_its_message(
    receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventbridge_handler, "open_eventbridge_envelope", {}.get)
    with pytest.raises(UnexpectedFailure, match=r"^TypeError at eventbridge_handler.py:"):
        receive(load("eventbridge_partner"))


def test_missing_settings_raise_one_error_that_names_them(receive: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        receive(load("eventbridge_partner"))
    assert all(name in str(error.value) for name in ("DB_HOST", "DB_NAME", "DB_PASSWORD"))


@pytest.mark.usefixtures("database_settings")
def test_no_setting_of_stripes_is_needed(receive: Any) -> None:
    event = eventbridge_envelope(load(OTHER_TYPE))
    assert receive(event)["outcome"] == "ignored"


@pytest.mark.usefixtures("database_settings")
def test_the_parts_are_built_once_a_process() -> None:
    assert bootstrap.parts() is bootstrap.parts()


def test_settings_that_were_mended_are_read_again(
    receive: Any, request: pytest.FixtureRequest
) -> None:
    event = eventbridge_envelope(load(OTHER_TYPE))
    with pytest.raises(ConfigurationError):
        receive(event)
    request.getfixturevalue("database_settings")
    assert receive(event)["outcome"] == "ignored"


@pytest.mark.usefixtures("database_settings")
def test_an_invocation_without_time_asks_nothing_and_is_a_retry(process: Process) -> None:
    context = AnyContext(remaining_seconds=0.5)
    with pytest.raises(LedgerUnavailable, match="no time was left"):
        process.run(eventbridge_handler.handler, load("eventbridge_partner"), context)


def test_the_ledger_knows_route_moment_and_deadline(receive: Any, settle_with: SettleWith) -> None:
    ledger = settle_with(SETTLED)
    receive(load("eventbridge_partner"))
    [(_, delivery)] = ledger.settled
    assert delivery.route is Route.EVENTBRIDGE
    assert delivery.received_at.utcoffset() == timedelta(0)
    assert delivery.deadline.remaining() <= 24.5


@pytest.mark.parametrize(
    "answer",
    [SETTLED, LedgerUnavailable("why"), KeyError("why")],
    ids=["ok", "retry", "defect"],
)
def test_a_delivery_is_logged_once_with_its_ids_and_duration(
    receive: Any, settle_with: SettleWith, process: Process, answer: Any
) -> None:
    settle_with(answer)
    with suppress(SettlementError):
        receive(eventbridge_envelope(ANY_EVENT))
    [line] = process.output().logs
    assert (line["event_id"], line["order_id"]) == (ANY_EVENT["id"], 42)
    assert line["session_id"] == ANY_EVENT["data"]["object"]["id"]
    assert line["route"] == "eventbridge"
    assert line["duration_ms"] >= 0


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Who asked to be connected to the database, which refuses."""
    logins: list[tuple[str, str]] = []

    def connect(*, user: str, password: bytes, **_: object) -> None:
        logins.append((user, password.decode()))
        raise pymysql.OperationalError(1049, "Unknown database")

    monkeypatch.setattr(connection, "Connection", connect)
    return logins


@pytest.mark.usefixtures("database_settings")
def test_the_password_of_the_environment_needs_no_secret(
    receive: Any, logins: list[tuple[str, str]]
) -> None:
    with pytest.raises(LedgerUnavailable):
        receive(load("eventbridge_partner"))
    assert logins == [("any", "any")]


@pytest.mark.usefixtures("database_settings")
def test_the_password_is_read_from_the_secret_where_there_is_none(
    receive: Any, logins: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"username": "settler", "password": "stored"}
    monkeypatch.delenv("DB_PASSWORD")
    monkeypatch.setenv("DB_SECRET_ARN", "arn:any")
    monkeypatch.setattr(secrets, "get_secret_value", lambda _arn, _deadline: secret)
    with pytest.raises(LedgerUnavailable):
        receive(load("eventbridge_partner"))
    assert logins == [("settler", "stored")]
