"""Whoever is on call: told by the alarms, looks into the queues."""

from __future__ import annotations

from typing import Any

from local.operator import AlarmSubscription
from local.servers.emulated_aws import EmulatedAWS
from local.waiting import wait_for

Message = dict[str, Any]


class OnCall:
    """Sees what AWS shows, through a queue of its own on the alarms' topic.

    Args:
        aws: where the stack is.
        topic_arn: where the alarms are published.
    """

    def __init__(self, aws: EmulatedAWS, *, topic_arn: str) -> None:
        self._aws = aws
        self._sqs = aws.client("sqs")
        self._subscription = AlarmSubscription(aws, topic_arn)

    def expect(self, alarm: str) -> None:
        """Wait until an alarm is not raised, and forget what was told of it before."""
        wait_for(
            lambda: True if self.state(alarm) != "ALARM" else None, f"{alarm} not to be raised"
        )
        while self._subscription.take():
            pass

    def expect_silence(self) -> None:
        """Wait until no alarm is raised, and forget what was told before."""
        cloudwatch = self._aws.client("cloudwatch")
        wait_for(
            lambda: (
                None if cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"] else True
            ),
            "no alarm to be raised",
            seconds=120,
        )
        while self._subscription.take():
            pass

    def state(self, alarm: str) -> str:
        """OK, ALARM or INSUFFICIENT_DATA."""
        answer = self._aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])
        [found] = answer["MetricAlarms"]
        return str(found["StateValue"])

    def wait_for_alarm(self, alarm: str) -> Message:
        """What the topic told when the alarm was raised."""

        def told() -> Message | None:
            return next(
                (
                    message
                    for message in self._subscription.take()
                    if (message["AlarmName"], message["NewStateValue"]) == (alarm, "ALARM")
                ),
                None,
            )

        return wait_for(told, f"the topic to tell of {alarm}", seconds=120)

    def held(self, queue_url: str) -> list[Message]:
        """The messages that wait in a queue; they stay there."""
        answer = self._sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def wait_for_message(self, queue_url: str) -> Message:
        """The one message that waits in a queue, once there is one."""
        [message] = wait_for(
            lambda: self.held(queue_url) or None, f"a message in {queue_url}", seconds=120
        )
        return message
