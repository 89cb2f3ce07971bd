"""The operator's side of the local cloud: alarms, logs, queues, and the redrive command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from local.servers.cdk import REPOSITORY
from local.servers.emulated_aws import EmulatedAWS
from local.waiting import wait_for

_COMMAND_SECONDS: Final = 300.0


Alarm = dict[str, Any]
"""What CloudWatch publishes when an alarm changes its state."""


class AlarmSubscription:
    """Subscribed to a topic from now on."""

    def __init__(self, aws: EmulatedAWS, topic_arn: str) -> None:
        """
        Args:
            aws: where the topic is.
            topic_arn: the topic.
        """
        self._sqs = aws.client("sqs")
        queue = self._sqs.create_queue(QueueName=f"alarm-subscription-{uuid4().hex}")
        self._url: Final[str] = queue["QueueUrl"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        aws.client("sns").subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=answer["Attributes"]["QueueArn"]
        )

    def take(self) -> list[Alarm]:
        """Return what has come since, ten at the most; it is not there a second time."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        taken = []
        for message in answer.get("Messages", []):
            taken.append(json.loads(json.loads(message["Body"])["Message"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return taken


class Operator:
    """Sees what a person on call would see, through AWS's own interfaces."""

    def __init__(self, aws: EmulatedAWS, *, stack: str, topic_arn: str) -> None:
        """
        Args:
            aws: where the stack is deployed.
            stack: its name.
            topic_arn: of the topic that every alarm is published to.
        """
        self._aws = aws
        self._stack = stack
        self._sqs = aws.client("sqs")
        self._logs = aws.client("logs")
        self._log_groups: dict[str, str] = {}
        self._subscription: Final = AlarmSubscription(aws, topic_arn)
        self._published: Final[list[Alarm]] = []

    def outcomes(self, function: str, event_id: str) -> list[str]:
        """Return what came of each delivery of an event so far, as the function's log says.

        Args:
            function: the function's name.
            event_id: Stripe's id of the event.
        """
        lines = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._log_group(function)
        )
        found = []
        for page in lines:
            for entry in page["events"]:
                with suppress(ValueError):
                    line = json.loads(entry["message"])
                    # Lambda's own lines, START and the like, are no JSON.
                    if isinstance(line, dict) and line.get("event_id") == event_id:
                        found += [str(line["outcome"])] if "outcome" in line else []
        return found

    def wait_for_outcomes(self, function: str, event_id: str, count: int) -> list[str]:
        """Return the outcomes of an event's deliveries, once there are so many.

        Raises:
            WaitedInVain: there never were.
        """
        return wait_for(
            lambda: found if len(found := self.outcomes(function, event_id)) >= count else None,
            f"{function} to log {count} outcomes of {event_id}",
        )

    def waiting(self, queue_url: str) -> int:
        """Return how many messages are in a queue, visible or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def wait_until_waiting(self, queue_url: str, count: int) -> int:
        """Return how many messages are in a queue, once there are so many.

        Raises:
            WaitedInVain: there never were.
        """
        name = queue_url.rpartition("/")[2]
        return wait_for(
            lambda: found if (found := self.waiting(queue_url)) == count else None,
            f"{name} to hold {count} messages",
        )

    def wait_for_alarm(self, queue_url: str) -> str:
        """Return the name of an alarm about this queue that was published to SNS.

        Raises:
            WaitedInVain: no such alarm was published.
        """
        name = queue_url.rpartition("/")[2]
        return wait_for(
            lambda: self._published_alarm(lambda alarm: name in _dimensions(alarm)),
            f"an alarm about {name}",
            seconds=120.0,
        )

    def wait_for_alarm_on(self, metric: str) -> str:
        """Return the name of an alarm on this metric that was published to SNS.

        Raises:
            WaitedInVain: no such alarm was published.
        """
        return wait_for(
            lambda: self._published_alarm(
                lambda alarm: alarm["Trigger"].get("MetricName") == metric
            ),
            f"an alarm on {metric}",
            seconds=120.0,
        )

    def wait_until_no_alarm(self) -> None:
        """Return once no alarm of the account is in ALARM; each clears after its period.

        Raises:
            WaitedInVain: one is still.
        """
        alarms = self._aws.client("cloudwatch").get_paginator("describe_alarms")

        def none() -> bool | None:
            pages = alarms.paginate(StateValue="ALARM")
            return None if any(page["MetricAlarms"] for page in pages) else True

        wait_for(none, "every alarm to clear", seconds=120.0)

    def redrive(self) -> subprocess.CompletedProcess[str]:
        """Run the redrive command, as the runbook has it, on every failure queue of the stack."""
        return self.run("redrive")

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `stripe-settlement` on the stack."""
        return subprocess.run(
            [
                *(sys.executable, "-m", "stripe_settlement_cli", command, *arguments),
                *("--stack", self._stack),
            ],
            cwd=REPOSITORY,
            env=self._aws.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )

    def _published_alarm(self, wanted: Callable[[Alarm], bool]) -> str | None:
        self._published.extend(self._subscription.take())
        for alarm in self._published:
            if alarm["NewStateValue"] == "ALARM" and wanted(alarm):
                return str(alarm["AlarmName"])
        return None

    def _log_group(self, function: str) -> str:
        if function not in self._log_groups:
            configuration = self._aws.client("lambda").get_function_configuration(
                FunctionName=function
            )
            self._log_groups[function] = configuration["LoggingConfig"]["LogGroup"]
        return self._log_groups[function]


def _dimensions(alarm: Alarm) -> list[str]:
    """Return the values of the dimensions of the alarm's metric."""
    dimensions = alarm["Trigger"].get("Dimensions", [])
    return [value.get("value", value.get("Value")) for value in dimensions]
