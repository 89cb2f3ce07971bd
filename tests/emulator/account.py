"""What the tests make in the emulated account, each under a name of its own."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from local.waiting import wait_for

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
ECHO = "def handler(event, context): return event"
FAIL = "def handler(event, context): raise ValueError('on purpose')"


def any_name(kind: str = "any") -> str:
    return f"{kind}-{uuid4().hex[:12]}"


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def zipped(source: str, file: str = "index.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(file, source)
    return buffer.getvalue()


@dataclass(frozen=True)
class Queue:
    sqs: Any
    url: str
    arn: str

    def receive(self) -> dict[str, Any]:
        """The next message, once there is one. It is taken out of the queue."""
        message = wait_for(self._take, f"a message in {self.url}")
        return {**message, "Body": json.loads(message["Body"])}

    def is_empty(self) -> bool:
        return self._take() is None

    def _take(self) -> dict[str, Any] | None:
        answer = self.sqs.receive_message(QueueUrl=self.url, MessageAttributeNames=["All"])
        for message in answer.get("Messages", ()):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return dict(message)
        return None


@dataclass(frozen=True)
class Answer:
    payload: Any
    error: str | None
    """`Unhandled` if the function failed."""
    log: str
    """What the function wrote during the invocation."""


class Account:
    def __init__(self, aws: EmulatedAWS) -> None:
        self.aws = aws
        self.functions = aws.client("lambda")
        self.events = aws.client("events")
        self.cloudwatch = aws.client("cloudwatch")
        self.cloudformation = aws.client("cloudformation")
        self._sqs = aws.client("sqs")

    def function(self, source: str = ECHO, *, file: str = "index.py", **settings: Any) -> str:
        """The name of a new function whose handler is `index.handler`."""
        name = any_name("function")
        self.functions.create_function(
            **{
                "FunctionName": name,
                "Runtime": "python3.13",
                "Role": ROLE,
                "Handler": "index.handler",
                "Code": {"ZipFile": zipped(source, file)},
                "Timeout": 30,
                **settings,
            }
        )
        return name

    def invoke(self, function: str, event: Any = None) -> Answer:
        answer = self.functions.invoke(
            FunctionName=function, LogType="Tail", Payload=json.dumps(event)
        )
        return Answer(
            json.loads(answer["Payload"].read()),
            answer.get("FunctionError"),
            base64.b64decode(answer.get("LogResult", "")).decode(),
        )

    def invoke_asynchronously(self, function: str, event: Any = None) -> None:
        self.functions.invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(event)
        )

    def queue(self, policy: dict[str, Any] | None = None) -> Queue:
        attributes = {"Policy": json.dumps(policy)} if policy else {}
        name = any_name("queue")
        url = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return Queue(self._sqs, url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")

    def send(self, queue: Queue, message: str = "any") -> None:
        self._sqs.send_message(QueueUrl=queue.url, MessageBody=message)

    def total(self, namespace: str, metric: str, **dimensions: str) -> float | None:
        """The sum of a metric with exactly these dimensions; None if there is no data point."""
        statistics = self.statistics(namespace, metric, dimensions)
        return statistics["Sum"] if statistics else None

    def statistics(
        self, namespace: str, metric: str, dimensions: dict[str, str]
    ) -> dict[str, Any] | None:
        answer = self.cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=datetime.now(UTC) - timedelta(days=30),
            EndTime=datetime.now(UTC) + timedelta(days=1),
            Period=100 * 24 * 3600,
            Statistics=["Sum", "Minimum", "Maximum", "SampleCount"],
        )
        return next(iter(answer["Datapoints"]), None)

    def wait_for_total(
        self, expected: float, namespace: str, metric: str, **dimensions: str
    ) -> None:
        wait_for(
            lambda: self.total(namespace, metric, **dimensions) == expected or None,
            f"{metric} to add up to {expected}",
        )

    def log_lines(self, function: str) -> list[str]:
        answer = self.aws.client("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{function}", limit=10_000
        )
        return [event["message"] for event in answer["events"]]

    def deploy(self, stack: str, resources: dict[str, Any], **outputs: Any) -> dict[str, str]:
        """The stack's outputs, once it is created or updated."""
        template = {
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        exists = self._stack(stack) is not None
        change = self.cloudformation.update_stack if exists else self.cloudformation.create_stack
        change(StackName=stack, TemplateBody=json.dumps(template))
        done = self._wait_for_stack(stack, "UPDATE" if exists else "CREATE")
        return {output["OutputKey"]: output["OutputValue"] for output in done.get("Outputs", ())}

    def delete_stack(self, stack: str) -> None:
        self.cloudformation.delete_stack(StackName=stack)
        wait_for(lambda: self._stack(stack) is None or None, f"{stack} to be gone")

    def _wait_for_stack(self, stack: str, operation: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            found = self._stack(stack)
            return None if not found or found["StackStatus"].endswith("IN_PROGRESS") else found

        found = wait_for(done, f"{stack} to be deployed")
        assert found["StackStatus"] == f"{operation}_COMPLETE", found.get("StackStatusReason")
        return found

    def _stack(self, name: str) -> dict[str, Any] | None:
        try:
            [found] = self.cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError:
            return None
        return dict(found)


@dataclass(frozen=True)
class Rule:
    """A rule that takes every event with the source `test` off a bus, to one function."""

    account: Account
    bus: str
    name: str
    arn: str

    @classmethod
    def on_a_bus(
        cls, account: Account, *, function: str, dlq: Queue | None = None, bus: str | None = None
    ) -> Rule:
        """On a new bus unless one is named. The function does not allow it yet."""
        name = any_name("rule")
        if bus is None:
            bus = any_name("bus")
            account.events.create_event_bus(Name=bus)
        arn = account.events.put_rule(
            Name=name, EventBusName=bus, EventPattern=json.dumps({"source": [name]})
        )["RuleArn"]
        target: dict[str, Any] = {"Id": "any", "Arn": function_arn(function)}
        if dlq is not None:
            target["DeadLetterConfig"] = {"Arn": dlq.arn}
        account.events.put_targets(Rule=name, EventBusName=bus, Targets=[target])
        return cls(account, bus, name, arn)

    def allow(self, function: str) -> None:
        """Lets this rule invoke the function."""
        self.account.functions.add_permission(
            FunctionName=function,
            StatementId=any_name(),
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=self.arn,
        )

    def put(self, detail: dict[str, Any] | None = None) -> None:
        """Puts an event that this rule matches."""
        entry = {
            "EventBusName": self.bus,
            "Source": self.name,
            "DetailType": "any",
            "Detail": json.dumps(detail or {}),
        }
        answer = self.account.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0


def sending_allowed(arn: str = "arn:aws:events:*:*:rule/*") -> dict[str, Any]:
    """A queue policy that lets EventBridge send for the rule with this ARN."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
                "Condition": {"ArnLike": {"aws:SourceArn": arn}},
            }
        ],
    }
