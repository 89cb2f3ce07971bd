"""What an event source mapping gets back: the messages whose outcome is not committed; and what a
command gets back that invokes the function with many events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import eventbridge_handler
from settlement.domain.outcomes import AnomalyKind, Outcome, Route, Verdict
from settlement.errors import ConfigurationError, LedgerUnavailable, RejectedDelivery
from tests.support.events import (
    OTHER_TYPE,
    any_paid_event,
    eventbridge_envelope,
    load,
    sqs_batch,
)
from tests.support.invocations import AnsweringLedger, AnyContext
from tests.support.output import Process

SettleWith = Callable[..., AnsweringLedger]

SETTLED = Verdict(Outcome.SETTLED)
COUNTED = ("Settled", "Unauthenticated")


@pytest.fixture
def receive(process: Process) -> Callable[[object], Any]:
    """Hand a batch to the EventBridge function."""
    return lambda event: process.run(eventbridge_handler.handler, event, AnyContext())


def failures(*numbers: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in numbers]}


def paid(order_id: int) -> dict[str, Any]:
    return eventbridge_envelope(any_paid_event(order_id=order_id))


def test_a_batch_that_is_committed_fails_nothing(receive: Any, settle_with: SettleWith) -> None:
    ledger = settle_with(SETTLED)
    event = sqs_batch(paid(1), paid(2), eventbridge_envelope(load(OTHER_TYPE)))

    assert receive(event) == failures()
    assert [payment.order_id for payment, _ in ledger.settled] == [1, 2]
    assert {delivery.route for _, delivery in ledger.settled} == {Route.EVENTBRIDGE}


@pytest.mark.parametrize(
    "poison",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        any_paid_event(),
        {**load("eventbridge_partner"), "source": "x"},
        {"source": "stripe.com"},
    ],
    ids=["empty", "json", "deep", "null", "list", "bare", "source", "no detail"],
)
def test_what_is_no_event_of_stripes_fails_alone(
    receive: Any, settle_with: SettleWith, poison: object
) -> None:
    ledger = settle_with(SETTLED)

    assert receive(sqs_batch(paid(1), poison, paid(2))) == failures(1)
    assert [payment.order_id for payment, _ in ledger.settled] == [1, 2]


def test_a_message_without_a_body_fails_alone(receive: Any, settle_with: SettleWith) -> None:
    settle_with(SETTLED)
    event = sqs_batch(paid(1), paid(2))
    del event["Records"][0]["body"]

    assert receive(event) == failures(0)


@pytest.mark.parametrize("error", [LedgerUnavailable("why"), KeyError("why")], ids=repr)
def test_what_is_not_committed_stays_in_the_queue(
    receive: Any, settle_with: SettleWith, error: Exception
) -> None:
    settle_with(error)
    other = eventbridge_envelope(load(OTHER_TYPE))

    assert receive(sqs_batch(paid(1), other, paid(2))) == failures(0, 2)


def test_a_recorded_anomaly_is_acknowledged(receive: Any, settle_with: SettleWith) -> None:
    ledger = settle_with(Verdict(anomaly=AnomalyKind.AMOUNT_MISMATCH))

    assert receive(sqs_batch(paid(1))) == failures()
    assert [anomaly.kind for anomaly, _ in ledger.anomalies] == [AnomalyKind.AMOUNT_MISMATCH]


def test_a_function_without_settings_leaves_every_message_in_the_queue(
    receive: Any, process: Process
) -> None:
    assert receive(sqs_batch(paid(1), paid(2))) == failures(0, 1)
    assert {line["error"] for line in process.output().logs} == {ConfigurationError.__name__}


def test_each_message_has_a_log_line_and_metrics_of_its_own(
    receive: Any, settle_with: SettleWith, process: Process
) -> None:
    settle_with(SETTLED)
    receive(sqs_batch(paid(1), "{", paid(2)))

    output = process.output()
    assert [(line["outcome"], line.get("order_id")) for line in output.logs] == [
        ("settled", 1),
        ("settled", 2),
        ("unauthenticated", None),
    ]
    assert [name for each in output.metrics for name in each if name in COUNTED] == [
        "Settled",
        "Settled",
        "Unauthenticated",
    ]


@pytest.mark.parametrize("records", [[None], [{}], [{"messageId": ""}], ["m0"]], ids=repr)
def test_records_that_cannot_be_named_raise(
    receive: Any, settle_with: SettleWith, records: list[Any]
) -> None:
    """Without its message's id no failure can be reported: all of the batch comes again."""
    ledger = settle_with(SETTLED)
    with pytest.raises(RejectedDelivery, match="messageId"):
        receive({"Records": records})
    assert ledger.settled == []


def test_an_empty_batch_fails_nothing(receive: Any) -> None:
    assert receive({"Records": []}) == failures()


def test_a_list_of_events_is_answered_in_its_order_each_as_it_alone_would_be(
    receive: Any, settle_with: SettleWith
) -> None:
    ledger = settle_with(SETTLED)
    other = load(OTHER_TYPE)
    first, second = any_paid_event(order_id=1), any_paid_event(order_id=2)
    events = [eventbridge_envelope(first), eventbridge_envelope(other), "poison"]

    responses = receive({"events": [*events, eventbridge_envelope(second)]})["responses"]

    settled = {"outcome": "settled", "anomaly": None}
    assert responses == [
        {"event_id": first["id"], "order_id": "1", **settled},
        {"event_id": other["id"], "order_id": None, "outcome": "ignored", "anomaly": None},
        {
            "errorType": RejectedDelivery.__name__,
            "errorMessage": "expected an EventBridge event with a detail",
        },
        {"event_id": second["id"], "order_id": "2", **settled},
    ]
    assert {delivery.route for _, delivery in ledger.settled} == {Route.EVENTBRIDGE}


def test_an_event_of_a_list_that_is_not_committed_is_named_with_its_error(
    receive: Any, settle_with: SettleWith
) -> None:
    settle_with(LedgerUnavailable("why"))

    assert receive({"events": [paid(1), paid(2)]}) == {
        "responses": [{"errorType": "LedgerUnavailable", "errorMessage": "why"}] * 2
    }
