"""A failure queue's messages: received, released, deleted; and the event that is in each.

Two shapes reach a failure queue:

- EventBridge could not deliver: the body is the event, and attributes say why and where to
  ("Using dead-letter queues to process undelivered events", EventBridge User Guide).
- The function kept failing: the body is a record that holds the event and the error
  ("Capturing records of Lambda asynchronous invocations", Lambda Developer Guide).
"""

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Client
from stripe_settlement_cli.failure_reasons import printable, printable_id, reason_of_error

_AT_ONCE: Final = 10
"""Messages in one call, at most ("Amazon SQS message quotas")."""

_WAIT: Final = 1
"""Seconds a receive waits for a message. More than 0, so that SQS asks all of its servers: a short
poll may say that a queue is empty which is not ("Amazon SQS short and long polling")."""


_EVENT_ID: Final = re.compile(r"[A-Za-z]{1,10}_[A-Za-z0-9_]{1,80}")
_EVENT_TYPE: Final = re.compile(r"[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, received."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: dict[str, str]
    receive_count: int
    """Which receipt this is: of two, the higher count's handle is the newest."""
    sent_at: float
    """When it was put here, in seconds since the epoch."""
    hidden_until: float
    """When it is visible again if nobody deletes it or releases it; by ``time.monotonic``."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages SQS believes there are. It may be a minute late."""

    visible: int
    hidden: int
    """Received by a consumer and not deleted yet."""


class QueueConsumer:
    """Receives the messages of one queue, each hidden from other consumers for a while."""

    def __init__(self, sqs: Client, url: str, *, visibility_timeout: int) -> None:
        """
        Args:
            sqs: the client.
            url: the queue's URL.
            visibility_timeout: seconds a received message stays hidden from everybody.
        """
        self._sqs = sqs
        self._url = url
        self.visibility_timeout: Final = visibility_timeout

    def receive(self, at_most: int = 1) -> list[Message]:
        """Return messages, hidden from now on; none if none is visible.

        Raises:
            ClientError, BotoCoreError: the queue could not be read.
        """
        hidden_until = time.monotonic() + self.visibility_timeout
        response = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(at_most, _AT_ONCE),
            VisibilityTimeout=self.visibility_timeout,
            WaitTimeSeconds=_WAIT,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return [
            Message(
                message_id=each["MessageId"],
                receipt_handle=each["ReceiptHandle"],
                body=each["Body"],
                attributes={
                    name: value["StringValue"]
                    for name, value in each.get("MessageAttributes", {}).items()
                    if "StringValue" in value
                },
                receive_count=int(each["Attributes"]["ApproximateReceiveCount"]),
                sent_at=int(each["Attributes"]["SentTimestamp"]) / 1000,
                hidden_until=hidden_until,
            )
            for each in response.get("Messages", [])
        ]

    def delete(self, message: Message) -> bool:
        """Delete a message; return False if it is still there, because its receipt handle expired
        or SQS was not reached.
        """
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt_handle)
        except AWS_ERRORS:
            return False
        return True

    def release(self, messages: Sequence[Message]) -> None:
        """Make messages visible again at once. One that could not be released comes back by itself,
        when its time is over; one whose time is over is there already.
        """
        for start in range(0, len(messages), _AT_ONCE):
            entries = [
                {"Id": str(n), "ReceiptHandle": each.receipt_handle, "VisibilityTimeout": 0}
                for n, each in enumerate(messages[start : start + _AT_ONCE])
            ]
            try:
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except AWS_ERRORS:
                continue

    def counts(self) -> Counts:
        """Return how many messages there are, roughly.

        Raises:
            ClientError, BotoCoreError: the queue could not be asked.
        """
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        response = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        visible, hidden = (int(response["Attributes"][name]) for name in names)
        return Counts(visible, hidden)


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
    """An event that waits in a failure queue, with what it takes to invoke its function again."""

    payload: bytes
    """What the function was, or was to be, invoked with."""
    ids: EventIds
    function_arn: str
    """The function it was meant for, without a version; empty if the message does not say."""
    rule_arn: str | None
    """The rule that could not deliver it; None if the function had it."""
    why: str
    """Why it is here, fit to be shown."""


WHERE_FROM = {"RULE_ARN", "TARGET_ARN"}
"""Attributes of what EventBridge could not deliver."""


def read_message(body: str, attributes: Mapping[str, str]) -> WaitingEvent:
    """Return the event in a message: undelivered, of a failed invocation, or of a queue's DLQ.

    Args:
        body: the message's body.
        attributes: its message attributes, as strings.

    Raises:
        UnreadableMessageError: it has none of these shapes.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableMessageError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise UnreadableMessageError("the body is not a JSON object")
    if attributes.keys() >= WHERE_FROM:
        return _undelivered(body, value, attributes)
    if isinstance(value.get("requestContext"), dict) and "requestPayload" in value:
        return _failed_invocation(value)
    if "detail" in value and "source" in value and not WHERE_FROM & attributes.keys():
        return WaitingEvent(
            payload=body.encode(),
            ids=_ids(value),
            function_arn="",
            rule_arn=None,
            why="it failed at every attempt; the function's log says why",
        )
    raise UnreadableMessageError(
        "it has neither the attributes RULE_ARN and TARGET_ARN of an undelivered event nor the "
        "requestContext and requestPayload of a failed invocation, nor is it an event itself"
    )


def _undelivered(
    body: str, event: Mapping[str, Any], attributes: Mapping[str, str]
) -> WaitingEvent:
    if "detail" not in event:
        raise UnreadableMessageError("the undelivered event has no detail")
    reported = (printable(attributes.get(name)) for name in ("ERROR_CODE", "ERROR_MESSAGE"))
    return WaitingEvent(
        payload=body.encode(),
        ids=_ids(event),
        function_arn=_without_version(attributes["TARGET_ARN"]),
        rule_arn=attributes["RULE_ARN"],
        why=": ".join(filter(None, reported)) or "EventBridge gave no reason",
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
    """Return `arn:aws:lambda:region:account:function:name`, whatever version or alias follows."""
    return ":".join(arn.split(":")[:7])


def _ids(envelope: Mapping[str, Any]) -> EventIds:
    """Return the ids in an EventBridge event, or in the webhook's request around Stripe's event."""
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
        order_id=printable_id(order_id) or None,
    )


def _posted(request: Mapping[str, Any]) -> object:
    try:
        text = request["body"]
        return json.loads(base64.b64decode(text) if request.get("isBase64Encoded") else text)
    except (ValueError, RecursionError):
        return None


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
