"""A queue in the place of a mailbox: what the alarms' topic tells. No mail leaves the machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

if TYPE_CHECKING:
    from local.emulated_aws import EmulatedAWS

Alarm = dict[str, Any]
"""What CloudWatch publishes when an alarm changes its state."""


class Inbox:
    """Subscribed to a topic from now on."""

    def __init__(self, aws: EmulatedAWS, topic_arn: str) -> None:
        """
        Args:
            aws: where the topic is.
            topic_arn: the topic.
        """
        self._sqs = aws.client("sqs")
        queue = self._sqs.create_queue(QueueName=f"inbox-{uuid4().hex}")
        self._url: Final[str] = queue["QueueUrl"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        aws.client("sns").subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=answer["Attributes"]["QueueArn"]
        )

    def take(self) -> list[Alarm]:
        """What has come since, ten at the most; it is not there a second time."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        taken = []
        for message in answer.get("Messages", []):
            taken.append(json.loads(json.loads(message["Body"])["Message"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return taken
