"""Message in, waiting event out: the two shapes that reach a failure queue.

- EventBridge could not deliver: the body is the event, and attributes say why and where to
  ("Using dead-letter queues to process undelivered events", EventBridge User Guide).
- The function kept failing: the body is a record that holds the event and the error
  ("Capturing records of Lambda asynchronous invocations", Lambda Developer Guide).
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stripe_settlement_cli.reasons import printable, reason_of_error

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVENT_ID = re.compile(r"[A-Za-z]{1,10}_[A-Za-z0-9_]{1,80}")
_EVENT_TYPE = re.compile(r"[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){1,6}")
_ORDER_ID = re.compile(r"[1-9][0-9]{0,18}")


class UnreadableMessageError(ValueError):
    """The message has neither of the two shapes; it says what is wrong, not what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIds:
    """All that is ever shown of an event. None: absent, or not what such an id looks like."""

    event_id: str | None = None
    event_type: str | None = None
    order_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEvent:
    """An event that waits in a failure queue, with what it takes to hand it in again."""

    payload: bytes
    """What the function was, or was to be, invoked with."""
    ids: EventIds
    function_arn: str
    """The function it was meant for, without a version."""
    rule_arn: str | None
    """The rule that could not deliver it; None if the function had it."""
    why: str
    """Why it is here, fit to be shown."""


def read_message(body: str, attributes: Mapping[str, str]) -> WaitingEvent:
    """Read a message of either shape.

    Args:
        body: the message's body.
        attributes: its message attributes, as strings.

    Raises:
        UnreadableMessageError: it has neither shape.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableMessageError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise UnreadableMessageError("the body is not a JSON object")
    if "RULE_ARN" in attributes and "TARGET_ARN" in attributes:
        return _undelivered(body, value, attributes)
    if isinstance(value.get("requestContext"), dict) and "requestPayload" in value:
        return _failed_invocation(value)
    raise UnreadableMessageError(
        "it has neither the attributes RULE_ARN and TARGET_ARN of an undelivered event nor the "
        "requestContext and requestPayload of a failed invocation"
    )


def _undelivered(
    body: str, event: Mapping[str, Any], attributes: Mapping[str, str]
) -> WaitingEvent:
    if "detail" not in event:
        raise UnreadableMessageError("the undelivered event has no detail")
    said = (printable(attributes.get(name)) for name in ("ERROR_CODE", "ERROR_MESSAGE"))
    return WaitingEvent(
        payload=body.encode(),
        ids=_ids(event),
        function_arn=_without_version(attributes["TARGET_ARN"]),
        rule_arn=attributes["RULE_ARN"],
        why=": ".join(filter(None, said)) or "EventBridge gave no reason",
    )


def _failed_invocation(record: Mapping[str, Any]) -> WaitingEvent:
    context = record["requestContext"]
    function_arn = context.get("functionArn")
    if not isinstance(function_arn, str):
        raise UnreadableMessageError("the record of a failed invocation names no function")
    if not isinstance(record["requestPayload"], dict):
        raise UnreadableMessageError("the record of a failed invocation holds no event")
    parts = [printable(context.get("condition"))]
    if isinstance(record.get("responsePayload"), dict):  # There is none if it was never invoked.
        parts.append(str(reason_of_error(record["responsePayload"])))
    return WaitingEvent(
        payload=json.dumps(record["requestPayload"]).encode(),
        ids=_ids(record["requestPayload"]),
        function_arn=_without_version(function_arn),
        rule_arn=None,
        why=": ".join(filter(None, parts)) or "Lambda gave no reason",
    )


def _without_version(arn: str) -> str:
    """`arn:aws:lambda:region:account:function:name`, whatever version or alias follows."""
    return ":".join(arn.split(":")[:7])


def _ids(envelope: Mapping[str, Any]) -> EventIds:
    """Of an EventBridge event, or of API Gateway's proxy request around Stripe's event."""
    event = envelope.get("detail")
    if event is None and isinstance(envelope.get("body"), str):
        event = _posted(envelope)
    if not isinstance(event, dict):
        return EventIds()
    order_id = event
    for key in ("data", "object", "metadata", "order_id"):
        order_id = order_id.get(key, {}) if isinstance(order_id, dict) else {}
    return EventIds(
        event_id=_matching(_EVENT_ID, event.get("id")),
        event_type=_matching(_EVENT_TYPE, event.get("type")),
        order_id=_matching(_ORDER_ID, order_id),
    )


def _posted(request: Mapping[str, Any]) -> object:
    try:
        text = request["body"]
        return json.loads(base64.b64decode(text) if request.get("isBase64Encoded") else text)
    except (ValueError, RecursionError):
        return None


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
