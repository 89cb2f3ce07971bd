"""A failure queue's messages: taken, given back, deleted. Nothing here decides which."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stripe_settlement_cli.clients import AWS_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stripe_settlement_cli.clients import Client

_AT_ONCE: Final = 10
"""Messages in one call, at most ("Amazon SQS message quotas")."""

_WAIT: Final = 1
"""Seconds a receive waits for a message. More than 0, so that SQS asks all of its servers: a short
poll may say that a queue is empty which is not ("Amazon SQS short and long polling")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, received."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: dict[str, str]
    sent_at_ms: int
    """When it was put here, in milliseconds since the epoch."""
    hidden_until: float
    """When it is visible again if nobody deletes it or gives it back; by ``time.monotonic``."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages SQS believes there are. It may be a minute late."""

    visible: int
    hidden: int
    """Received by somebody and not deleted yet."""


class Mailbox:
    """Takes messages out of one queue, each hidden from others for a while."""

    def __init__(self, sqs: Client, url: str, *, hold_seconds: int) -> None:
        """
        Args:
            sqs: the client.
            url: the queue's URL.
            hold_seconds: how long a message received stays hidden from everybody.
        """
        self._sqs = sqs
        self._url = url
        self.hold_seconds: Final = hold_seconds

    def receive(self, at_most: int = 1) -> list[Message]:
        """Take messages; none if none is visible.

        Raises:
            ClientError, BotoCoreError: the queue could not be read.
        """
        hidden_until = time.monotonic() + self.hold_seconds
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(at_most, _AT_ONCE),
            VisibilityTimeout=self.hold_seconds,
            WaitTimeSeconds=_WAIT,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
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
                sent_at_ms=int(each["Attributes"]["SentTimestamp"]),
                hidden_until=hidden_until,
            )
            for each in answer.get("Messages", [])
        ]

    def delete(self, message: Message) -> bool:
        """Delete a message; False if it is still there, because its receipt handle expired or SQS
        was not reached.
        """
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt_handle)
        except AWS_ERRORS:
            return False
        return True

    def give_back(self, messages: Sequence[Message]) -> None:
        """Make messages visible again at once. One that could not be given back comes by itself,
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
        """How many messages there are, roughly.

        Raises:
            ClientError, BotoCoreError: the queue could not be asked.
        """
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return Counts(visible, hidden)
