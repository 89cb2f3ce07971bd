"""A stack to redrive in: functions that respond as ours do, their queues; and another team's.

The functions' outcomes are decided by the tests, through files in a folder that both see.
"""

from __future__ import annotations

import io
import json
import textwrap
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.servers.emulated_aws import ACCOUNT, EmulatedAWS
from tests.support.events import Json, any_id, any_paid_event, eventbridge_envelope, webhook_request

TIMEOUT = 20
"""Seconds, of each function."""

BUS = "aws.partner/stripe.com/ed_test"

_FUNCTION = textwrap.dedent('''\
    """Responds as the real function does: what a test has planned for the event, else `settled`."""

    import json
    import os
    import time
    import uuid
    from pathlib import Path

    FOLDER = Path(os.environ["FOLDER"])


    def handler(event, context):
        (FOLDER / "invocations" / uuid.uuid4().hex).touch()
        if "events" in event:
            return {"responses": [respond_to_one_of_many(each) for each in event["events"]]}
        return respond(event)


    def respond_to_one_of_many(event):
        try:
            return respond(event)
        except Exception as error:
            return {"errorType": type(error).__name__, "errorMessage": str(error)}


    def respond(event):
        posted = "body" in event
        stripe_event = json.loads(event["body"]) if posted else event["detail"]
        event_id = stripe_event["id"]
        (FOLDER / "calls" / f"{event_id}.{uuid.uuid4().hex}").touch()
        while (FOLDER / "closed" / event_id).exists():
            time.sleep(0.01)
        planned = FOLDER / "planned" / event_id
        outcome = planned.read_text() if planned.exists() else settle(event_id)
        if outcome == "crash":
            os._exit(1)
        if outcome[0].isupper() and not posted:
            raise type(outcome, (Exception,), {})("the order of jenny.rosen@example.com"
                if outcome == "KeyError" else "as planned")
        response = {"outcome": outcome, "event_id": event_id}
        if not posted:
            anomaly = "amount_mismatch" if outcome == "anomaly" else None
            return response | {"order_id": "4711", "anomaly": anomaly}
        status = {"retry": 503, "unauthenticated": 400}.get(outcome, 200)
        return {"statusCode": status, "headers": {}, "body": json.dumps(response)}


    def settle(event_id):
        try:
            (FOLDER / "settled" / event_id).touch(exist_ok=False)
        except FileExistsError:
            return "duplicate"
        return "settled"
''')


_COMPONENTS = {
    "eventbridge_handler.handler": "StripeEventBridgeHandler",
    "webhook_handler.handler": "StripePaymentFunction",
}


def _function(handler: str, folder: Path) -> Json:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Handler": handler,
            "Runtime": "python3.12",
            "Timeout": TIMEOUT,
            "Tags": [{"Key": "Component", "Value": _COMPONENTS.get(handler, "Theirs")}],
            "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"S3Bucket": "code", "S3Key": "function.zip"},
            "Environment": {"Variables": {"FOLDER": str(folder)}},
        },
    }


def _on_failure(function: str, queue: str) -> Json:
    return {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": function},
            "Qualifier": "$LATEST",
            "DestinationConfig": {
                "OnFailure": {"Destination": {"Fn::GetAtt": [queue, "Arn"]}},
            },
        },
    }


def _rule(function: str, queue: str, source: str = BUS, **properties: object) -> Json:
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            **properties,
            "EventPattern": {
                "source": [source],
                "detail-type": ["checkout.session.completed"],
                "detail": {"livemode": [False]},
            },
            "Targets": [
                {
                    "Id": "Target0",
                    "Arn": {"Fn::GetAtt": [function, "Arn"]},
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": [queue, "Arn"]}},
                }
            ],
        },
    }


def _permissions() -> Json:
    """Who may invoke the functions, and send to the DLQ."""
    send = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
    }
    return {
        "EventPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "EventFunction"},
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]},
            },
        },
        "WebhookPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "WebhookFunction"},
                "Principal": "apigateway.amazonaws.com",
            },
        },
        "DlqPolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Dlq"}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [send]},
            },
        },
    }


def _api() -> Json:
    """`POST /webhook` on a stage."""
    function = {"Fn::GetAtt": ["WebhookFunction", "Arn"]}
    path = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/"
    return {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "webhook"}},
        "Path": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "PathPart": "webhook",
            },
        },
        "Post": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "ResourceId": {"Ref": "Path"},
                "HttpMethod": "POST",
                "AuthorizationType": "NONE",
                "Integration": {
                    "Type": "AWS_PROXY",
                    "IntegrationHttpMethod": "POST",
                    "Uri": {"Fn::Join": ["", [path, function, "/invocations"]]},
                },
            },
        },
        "ApiDeployment": {
            "Type": "AWS::ApiGateway::Deployment",
            "DependsOn": "Post",
            "Properties": {"RestApiId": {"Ref": "Api"}},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "DeploymentId": {"Ref": "ApiDeployment"},
                "StageName": "Prod",
            },
        },
    }


def _alarms() -> Json:
    """An alarm, and somebody whom it notifies."""
    return {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Pager": {"Type": "AWS::SQS::Queue"},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Pager", "Arn"]},
            },
        },
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "Namespace": "any",
                "MetricName": "any",
                "Statistic": "Sum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "ignore",  # A state that a test sets stays.
                "AlarmActions": [{"Ref": "Topic"}],
            },
        },
    }


def template(folder: Path, bus: str = BUS) -> Json:
    """Our part of a stack and, called `Their…`, another team's."""
    queue = {"Type": "AWS::SQS::Queue"}
    return {
        "Resources": {
            "EventFunction": _function("eventbridge_handler.handler", folder),
            "WebhookFunction": _function("webhook_handler.handler", folder),
            "TheirFunction": _function("their_handler.handler", folder),
            **dict.fromkeys(("Dlq", "OnFailure", "WebhookOnFailure"), queue),
            **dict.fromkeys(("TheirDlq", "TheirOnFailure", "TheirQueue"), queue),
            "EventFailures": _on_failure("EventFunction", "OnFailure"),
            "WebhookFailures": _on_failure("WebhookFunction", "WebhookOnFailure"),
            "TheirFailures": _on_failure("TheirFunction", "TheirOnFailure"),
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": bus}},
            "Rule": _rule("EventFunction", "Dlq", bus, EventBusName={"Ref": "Bus"}),
            "TheirRule": _rule("TheirFunction", "TheirDlq"),
            **_permissions(),
            **_api(),
            **_alarms(),
        }
    }


def asset() -> bytes:
    """The functions' zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("eventbridge_handler", "webhook_handler", "their_handler"):
            archive.writestr(f"{name}.py", _FUNCTION)
    return data.getvalue()


@dataclass(frozen=True)
class Counts:
    """Messages of one queue."""

    visible: int
    hidden: int


class StandIn:
    """The deployed stack, and what its queues hold."""

    def __init__(
        self, aws: EmulatedAWS, folder: Path, *, name: str = "payments", bus: str = BUS
    ) -> None:
        self.name = name
        self._folder = folder
        self._sqs = aws.client("sqs")
        for each in ("calls", "closed", "invocations", "planned", "settled"):
            (folder / each).mkdir()
        s3, cloudformation = aws.client("s3"), aws.client("cloudformation")
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(
                Bucket="code", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
        s3.put_object(Bucket="code", Key="function.zip", Body=asset())
        self._events = aws.client("events")
        if not self._events.list_event_sources(NamePrefix=bus)["EventSources"]:
            self._events.create_partner_event_source(Name=bus, Account=ACCOUNT)
        cloudformation.create_stack(
            StackName=self.name, TemplateBody=json.dumps(template(folder, bus))
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1}
        )
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        self.ids = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
        }
        # The code is unpacked once, before several invocations need it at the same moment.
        aws.client("lambda").invoke(
            FunctionName=self.ids["EventFunction"],
            Payload=json.dumps(eventbridge_envelope(any_paid_event())),
        )
        self.bus = bus
        self.rule = self.ids["Rule"].rpartition("|")[2]
        self._rule_arn = self._events.describe_rule(Name=self.rule, EventBusName=bus)["Arn"]

    def empty(self) -> None:
        """Forget every message and every plan."""
        for logical_id, url in self.ids.items():
            if logical_id.endswith(("Dlq", "OnFailure", "Queue")):
                self._sqs.purge_queue(QueueUrl=url)
        for folder in self._folder.iterdir():
            for each in folder.iterdir():
                each.unlink()

    def delete_rule(self) -> None:
        place = {"EventBusName": self.bus}
        self._events.remove_targets(Rule=self.rule, Ids=["Target0"], **place)
        self._events.delete_rule(Name=self.rule, **place)

    def put_target_without_dlq(self) -> None:
        target = {"Id": "Target0", "Arn": self.function_arn()}
        self._events.put_targets(Rule=self.rule, EventBusName=self.bus, Targets=[target])

    def queue_name(self, queue: str) -> str:
        return str(self.ids[queue]).rpartition("/")[2]

    def function_arn(self, function: str = "EventFunction") -> str:
        return f"arn:aws:lambda:eu-west-1:000000000000:function:{self.ids[function]}"

    def undelivered(
        self, *, queue: str = "Dlq", function: str = "EventFunction", **event: Any
    ) -> str:
        """An event that EventBridge could not deliver; its id."""
        stripe_event = any_paid_event(order_id="4711", **event)
        attributes = {
            "RULE_ARN": self._rule_arn if queue == "Dlq" else "arn:aws:events:::rule/their-rule",
            "TARGET_ARN": self.function_arn(function),
            "ERROR_CODE": "NO_PERMISSIONS",
            "ERROR_MESSAGE": "The target refused",
        }
        self.send(queue, json.dumps(eventbridge_envelope(stripe_event)), **attributes)
        return str(stripe_event["id"])

    def failed(self, *, queue: str = "OnFailure", function: str = "EventFunction") -> str:
        """An event that a function kept failing on; its id."""
        stripe_event = any_paid_event(order_id="4711")
        posted = function == "WebhookFunction"
        payload = webhook_request(stripe_event) if posted else eventbridge_envelope(stripe_event)
        self.send(queue, json.dumps(self.record(payload, function=function)))
        return str(stripe_event["id"])

    def record(self, payload: Json, *, function: str = "EventFunction") -> Json:
        """What Lambda puts into an on-failure queue."""
        return {
            "version": "1.0",
            "requestContext": {
                "requestId": any_id("request"),
                "functionArn": f"{self.function_arn(function)}:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": payload,
            "responsePayload": {"errorType": "LedgerUnavailable", "errorMessage": "no connection"},
        }

    def send(self, queue: str, body: str, **attributes: str) -> None:
        self._sqs.send_message(
            QueueUrl=self.ids[queue],
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def plan(self, event_id: str, outcome: str) -> None:
        """What the function returns for an event; a capitalised one is raised as an error."""
        (self._folder / "planned" / event_id).write_text(outcome)

    def repair(self) -> None:
        """From now on every event settles."""
        for plan in (self._folder / "planned").iterdir():
            plan.unlink()

    def close(self, event_id: str) -> None:
        """The function does not return for this event until all are opened."""
        (self._folder / "closed" / event_id).touch()

    def open_all(self) -> None:
        for each in (self._folder / "closed").iterdir():
            each.unlink(missing_ok=True)

    def invocations(self) -> int:
        """How often any function was invoked, with one event or with many."""
        return len(list((self._folder / "invocations").iterdir()))

    def calls(self, event_id: str = "") -> int:
        """How often a function got an event; any event by default."""
        return sum(each.name.startswith(event_id) for each in (self._folder / "calls").iterdir())

    def settled(self) -> set[str]:
        """The ids of the events that were settled."""
        return {each.name for each in (self._folder / "settled").iterdir()}

    def counts(self, queue: str) -> Counts:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.ids[queue], AttributeNames=names)
        return Counts(*(int(found["Attributes"][name]) for name in names))

    def hide(self, queue: str, *, seconds: int) -> Callable[[], None]:
        """Receive a message, as another consumer would; return what releases it."""
        url = self.ids[queue]
        (message,) = self._sqs.receive_message(QueueUrl=url, VisibilityTimeout=seconds)["Messages"]

        def release() -> None:
            self._sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )

        return release
