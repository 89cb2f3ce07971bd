"""How the queues of a stack are found, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.servers.emulated_aws import EmulatedAWS
from stripe_settlement_cli.deployment import (
    Deployment,
    DeploymentError,
    FailureQueue,
    Finder,
    Function,
    Stack,
)
from tests.cli.stand_in import BUS, TIMEOUT, StandIn

pytestmark = pytest.mark.xdist_group("cli")


def denying(
    aws: EmulatedAWS, operation: str, parameter: str, denied: Callable[[str], bool]
) -> Callable[[str], Any]:
    """Clients of somebody who may not call an operation on some resources."""

    def deny(params: dict[str, Any], **_: object) -> None:
        if denied(str(params)):
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)

    def client(service: str) -> Any:
        made = aws.client(service)
        made.meta.events.register(f"before-call.{parameter}.{operation}", deny)
        return made

    return client


def test_queues_are_found_by_the_functions_that_use_them(aws: EmulatedAWS, stack: StandIn) -> None:
    found = Finder(aws.client, stack.name).find()

    assert {queue.name for queue in found.queues} == {
        stack.queue_name(each) for each in ("Dlq", "OnFailure", "WebhookOnFailure")
    }
    assert all(queue.slowest == TIMEOUT for queue in found.queues)


def test_a_rules_queue_knows_the_rule(aws: EmulatedAWS, stack: StandIn) -> None:
    (dlq,) = Finder(aws.client, stack.name).find().only([stack.queue_name("Dlq")])

    (rule,) = dlq.rules
    assert rule.startswith(f"arn:aws:events:eu-west-1:000000000000:rule/{BUS}/")


def test_what_may_not_be_looked_at_is_skipped_and_named(aws: EmulatedAWS, stack: StandIn) -> None:
    theirs = stack.ids["TheirFunction"]
    client = denying(aws, "GetFunctionConfiguration", "lambda", lambda asked: theirs in asked)

    found = Finder(client, stack.name).find()

    assert (found.not_looked_at, len(found.queues)) == ((theirs,), 3)


def test_a_stack_of_which_nothing_may_be_looked_at_is_refused(
    aws: EmulatedAWS, stack: StandIn
) -> None:
    client = denying(aws, "GetFunctionConfiguration", "lambda", lambda _: True)

    with pytest.raises(DeploymentError, match="for lack of lambda:GetFunctionConfiguration"):
        Finder(client, stack.name).find()


def test_a_refusal_to_list_the_stack_is_no_unknown_stack(aws: EmulatedAWS, stack: StandIn) -> None:
    client = denying(aws, "ListStackResources", "cloudformation", lambda _: True)

    with pytest.raises(ClientError):
        Finder(client, stack.name).find()


@pytest.mark.parametrize(
    ("physical_id", "path"),
    [("payments-Rule", "payments-Rule"), (f"{BUS}|payments-Rule", f"{BUS}/payments-Rule")],
)
def test_a_rule_is_found_on_the_bus_that_cloudformation_names(physical_id: str, path: str) -> None:
    function_arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:settles"
    bus, _, name = physical_id.rpartition("|")
    targets = {
        "Targets": [
            {
                "Arn": function_arn,
                "DeadLetterConfig": {"Arn": "arn:aws-cn:sqs:cn-north-1:123456789012:dlq"},
            }
        ]
    }
    client = CannedClient(
        list_stack_resources={
            "StackResourceSummaries": [
                resource("AWS::Lambda::Function", "settles"),
                resource("AWS::Events::Rule", physical_id),
                resource("AWS::Lambda::Function", "gone", status="DELETE_COMPLETE"),
            ]
        },
        describe_stacks={
            "Stacks": [
                {
                    "StackName": "any",
                    "StackId": "arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/any/1",
                }
            ]
        },
        get_template={"TemplateBody": "Resources: {}"},
        get_function_configuration={
            "Handler": "eventbridge_handler.handler",
            "FunctionArn": function_arn,
            "Timeout": 60,
        },
        list_function_event_invoke_configs={"FunctionEventInvokeConfigs": []},
        list_targets_by_rule=targets,
        get_queue_url={"QueueUrl": "https://sqs/dlq"},
    )

    (queue,) = Finder(lambda _: client, "any").find().queues

    assert list(queue.rules) == [f"arn:aws-cn:events:cn-north-1:123456789012:rule/{path}"]
    assert {"Rule": name, "EventBusName": bus or "default"} in client.asked
    assert {"FunctionName": "gone"} not in client.asked


def resource(kind: str, physical_id: str, *, status: str = "CREATE_COMPLETE") -> dict[str, str]:
    return {
        "LogicalResourceId": f"Logical{physical_id}",
        "ResourceType": kind,
        "PhysicalResourceId": physical_id,
        "ResourceStatus": status,
    }


class CannedClient:
    """A client of every service that returns for each operation what the test planned."""

    def __init__(self, **responses: Any) -> None:
        self.responses = responses
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self.asked.append(parameters)
            return self.responses[operation]

        return call

    @property
    def exceptions(self) -> Any:
        class Exceptions:
            ResourceNotFoundException = ClientError
            QueueDoesNotExist = ClientError
            ClientError = ClientError

        return Exceptions

    def get_paginator(self, operation: str) -> Any:
        class Paginator:
            def paginate(paginator, **parameters: Any) -> list[Any]:  # noqa: N805
                return [getattr(self, operation)(**parameters)]

        return Paginator()


NO_STACK = Stack("any", "arn:aws:cloudformation:eu-west-1:1:stack/any/1", {}, template_read=True)


def queue(name: str) -> FailureQueue:
    function = Function("arn:aws:lambda:eu-west-1:1:function:f", 60)
    arn = f"arn:aws:sqs:eu-west-1:1:{name}"
    return FailureQueue(arn, f"https://sqs/1/{name}", functions={function.arn: function})


def test_a_queue_named_twice_is_one_queue() -> None:
    dlq = queue("dlq")

    deployment = Deployment(NO_STACK, (dlq, queue("other")))

    assert deployment.only([dlq.name, dlq.url, dlq.arn]) == (dlq,)


def test_all_queues_are_meant_when_none_is_named() -> None:
    deployment = Deployment(NO_STACK, (queue("dlq"), queue("other")))

    assert deployment.only([]) == deployment.queues


def test_dlq_of_the_on_sale_queue_is_found_by_the_functions_mapping(
    aws: EmulatedAWS, stack: StandIn
) -> None:
    finder = Finder(aws.client, stack.name)
    finder.find()
    found = finder._stack.resources
    found["Sale"] = replace(
        found["OnFailure"],
        properties={"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dlq", "Arn"]}}},
    )
    found["Mapping"] = replace(
        found["EventFunction"],
        type="AWS::Lambda::EventSourceMapping",
        properties={
            "FunctionName": {"Ref": "EventFunction"},
            "EventSourceArn": {"Fn::GetAtt": ["Sale", "Arn"]},
        },
    )

    [(queue, function)] = finder._look_at_mappings()

    assert queue.endswith(stack.queue_name("OnFailure"))
    [dlq] = [each for each in finder._queues.values() if each.consumer]
    assert (dlq.name, dlq.consumer) == (stack.queue_name("Dlq"), function)
