"""What a message says of the event in it: two shapes, and nothing personal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stripe_settlement_cli.queue_consumer import (
    EventIds,
    UnreadableMessageError,
    WaitingEvent,
    read_message,
)
from tests.support.events import (
    any_paid_event,
    eventbridge_envelope,
    load,
    webhook_request,
)

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:settles"
RULE = "arn:aws:events:eu-west-1:123456789012:rule/aws.partner/stripe.com/ed_1/rule"
WHERE = {"RULE_ARN": RULE, "TARGET_ARN": FUNCTION}


def record(payload: Any, **context: Any) -> str:
    return json.dumps(
        {
            "requestContext": {
                "functionArn": f"{FUNCTION}:$LATEST",
                "condition": "RetriesExhausted",
                **context,
            },
            "requestPayload": payload,
            "responsePayload": {"errorType": "LedgerUnavailable", "errorMessage": "refused"},
        }
    )


def read_event(event: dict[str, Any]) -> WaitingEvent:
    return read_message(json.dumps(eventbridge_envelope(event)), WHERE)


def test_undelivered_event_is_passed_on_byte_for_byte() -> None:
    body = json.dumps(eventbridge_envelope(any_paid_event()), indent=3)

    assert read_message(body, WHERE).payload == body.encode()


def test_undelivered_event_names_its_function_and_its_rule() -> None:
    event = read_event(any_paid_event())

    assert (event.function_arn, event.rule_arn) == (FUNCTION, RULE)


def test_undelivered_event_waits_for_the_reason_eventbridge_gave() -> None:
    body = json.dumps(eventbridge_envelope(any_paid_event()))
    reported = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not authorized"}

    assert read_message(body, WHERE | reported).why == "NO_PERMISSIONS: not authorized"


def test_failed_invocation_holds_the_event_as_the_function_had_it() -> None:
    envelope = eventbridge_envelope(any_paid_event())

    assert json.loads(read_message(record(envelope), {}).payload) == envelope


def test_failed_invocation_names_its_function_without_a_version() -> None:
    event = read_message(record(eventbridge_envelope(any_paid_event())), {})

    assert (event.function_arn, event.rule_arn) == (FUNCTION, None)


def test_failed_invocation_waits_for_its_error() -> None:
    event = read_message(record(eventbridge_envelope(any_paid_event())), {})

    assert event.why == "RetriesExhausted: LedgerUnavailable: refused"


def test_invocation_that_never_was_waits_for_its_condition() -> None:
    value = json.loads(record(eventbridge_envelope(any_paid_event()), condition="EventAgeExceeded"))
    del value["responsePayload"]

    assert read_message(json.dumps(value), {}).why == "EventAgeExceeded"


@pytest.mark.parametrize("base64_encoded", [False, True])
def test_ids_come_out_of_a_webhook_request_too(base64_encoded: bool) -> None:
    stripe_event = any_paid_event(order_id="4711")
    request = webhook_request(stripe_event, base64_encoded=base64_encoded)

    assert read_message(record(request), {}).ids == EventIds(
        event_id=stripe_event["id"], event_type="checkout.session.completed", order_id="4711"
    )


@pytest.mark.parametrize(
    "order_id", ["jenny@example.com", "\x1b[2J1", "1" * 65, "Jenny Rosen", 42, None, {}]
)
def test_an_order_id_of_another_shape_is_not_shown(order_id: object) -> None:
    event = any_paid_event()
    event["data"]["object"]["metadata"]["order_id"] = order_id

    assert read_event(event).ids.order_id is None


@pytest.mark.parametrize("name", ["id", "type"])
def test_an_event_id_or_type_of_another_shape_is_not_shown(name: str) -> None:
    ids = read_event(any_paid_event(event={name: "Jenny Rosen"})).ids

    assert (ids.event_id if name == "id" else ids.event_type) is None


def test_a_thin_event_has_ids_too() -> None:
    assert read_event(load("thin_event")).ids.event_id == load("thin_event")["id"]


@pytest.mark.parametrize("metadata", [None, [], "text"])
def test_metadata_of_any_kind_are_read(metadata: object) -> None:
    event = any_paid_event()
    event["data"]["object"]["metadata"] = metadata

    assert read_event(event).ids.order_id is None


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ("", {}),
        ("[" * 100_000, {}),
        ("null", WHERE),
        ('{"no": "detail"}', WHERE),
        (json.dumps(eventbridge_envelope(any_paid_event())), {"RULE_ARN": RULE}),
        (record(eventbridge_envelope(any_paid_event()), functionArn=None), {}),
        (record("text"), {}),
        (json.dumps({"requestPayload": {}, "requestContext": []}), {}),
    ],
)
def test_a_message_of_neither_shape_is_unreadable(body: str, attributes: dict[str, str]) -> None:
    with pytest.raises(UnreadableMessageError):
        read_message(body, attributes)


def test_an_unreadable_message_is_not_quoted() -> None:
    with pytest.raises(UnreadableMessageError) as raised:
        read_message('{"name": "Jenny"}', {})

    assert "Jenny" not in str(raised.value)


def test_event_of_a_queues_dlq_is_passed_on_and_names_no_function() -> None:
    body = json.dumps(eventbridge_envelope(any_paid_event()), indent=3)

    event = read_message(body, {})

    assert (event.payload, event.function_arn, event.rule_arn) == (body.encode(), "", None)
