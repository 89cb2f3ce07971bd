"""What the operator's command line reaches the database through: two functions, no connection.

They are two because IAM cannot tell one payload from another: who may look may not therefore write.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from aws_cdk import Acknowledgment, ArnFormat, Stack, Validations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.functions.database_function import DatabaseFunction
from stripe_settlement.functions.network import Network
from stripe_settlement.functions.python_function import PythonFunction
from stripe_settlement.routes.on_sale_queue import OnSaleQueue
from stripe_settlement.settings import FunctionSettings, OperationsSettings

READ_FUNCTION: Final = "OperationsRead"
RESOLVE_FUNCTION: Final = "OperationsResolve"


class Operations:
    """The two functions, each in the settlement's own scope, so that each has tags of its own."""

    def __init__(
        self,
        scope: Construct,
        *,
        code: lambda_.Code,
        database: DatabaseConnection,
        environment: Mapping[str, str],
        settings: OperationsSettings,
        function_settings: FunctionSettings,
        name_prefix: str | None = None,
        network: Network | None = None,
    ) -> None:
        """Create both. Nothing invokes them but who is granted it.

        Args:
            scope: the parent construct.
            code: the asset, built for the runtime and the architecture of `function_settings`.
            database: whose address and secret they are given.
            environment: what the functions have in common.
            settings: their own.
            function_settings: what they have in common with the other functions.
            name_prefix: begins the physical names; without it CloudFormation names them.
            network: the database's.
        """

        def create(construct_id: str, handler: str, description: str) -> DatabaseFunction:
            function = DatabaseFunction(
                scope,
                construct_id,
                handler=handler,
                code=code,
                database=database,
                description=description,
                settings=replace(
                    function_settings,
                    timeout=settings.timeout,
                    # One at a time, also while settling is paused; a quota too small to reserve
                    # from stays as it is.
                    reserved_concurrency=None
                    if function_settings.reserved_concurrency is None
                    else 1,
                ),
                environment=environment,
                function_name=physical_name(name_prefix, construct_id),
                network=network,
            )
            Validations.of(function.function).acknowledge(
                Acknowledgment(
                    id="Serverless-LambdaDLQ",
                    reason="Invoked by the operator's command line, which waits for the answer: "
                    "there is no event to keep.",
                )
            )
            return function

        self.read: Final = create(
            READ_FUNCTION,
            "operations_read_handler.handler",
            "Reads the database for the operator's command line",
        )
        """Reads, in a session that cannot write."""
        self.resolve: Final = create(
            RESOLVE_FUNCTION,
            "operations_resolve_handler.handler",
            "Closes payment anomalies for the operator's command line",
        )
        """Writes `payment_anomalies` alone."""


class OperationsGrant:
    """What `stripe-settlement` needs to look at one stack, and to close its anomalies."""

    def __init__(
        self,
        scope: Construct,
        *,
        operations: Operations,
        functions: list[PythonFunction],
        queues: list[sqs.IQueue],
        on_sale_queue: OnSaleQueue | None,
        rule: events.IRule,
        topic: sns.ITopic,
        alarms: list[cloudwatch.Alarm],
        event_bus: events.IEventBus,
        api: apigateway.IRestApi | None,
    ) -> None:
        """Name the parts of the stack that are looked at."""
        self._scope = scope
        self._operations = operations
        self._functions = functions
        self._queues = queues
        self._on_sale_queue = on_sale_queue
        self._rule = rule
        self._topic = topic
        self._alarms = alarms
        self._event_bus = event_bus
        self._api = api

    def observe(self, grantee: iam.IGrantable) -> None:
        """Allow asking the database, and reading what the stack is made of and has logged."""
        self._allow_looking_at_the_stack(grantee)
        _allow(
            grantee,
            "AskTheDatabase",
            ["lambda:InvokeFunction"],
            [self._operations.read.function.function_arn],
        )
        _allow(
            grantee,
            "ReadTheFunctionsConfiguration",
            [
                "lambda:GetFunctionConcurrency",
                "lambda:GetFunctionConfiguration",
                "lambda:GetPolicy",
                "lambda:ListFunctionEventInvokeConfigs",
            ],
            [each.function.function_arn for each in self._functions],
        )
        _allow(
            grantee,
            "ReadTheLogs",
            ["logs:FilterLogEvents"],
            [each.log_group.log_group_arn for each in self._functions],
        )
        _allow(
            grantee,
            "ReadTheRule",
            ["events:DescribeRule", "events:ListTargetsByRule"],
            [self._rule.rule_arn],
        )
        _allow(
            grantee,
            "CountWhatWaits",
            ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
            [each.queue_arn for each in self._queues],
        )
        if self._on_sale_queue is not None:
            _allow(
                grantee,
                "CountWhatWaitsToBeSettled",
                ["sqs:GetQueueAttributes"],
                [self._on_sale_queue.queue.queue_arn],
            )
            _allow(
                grantee,
                "SeeWhetherTheQueueIsConsumed",
                ["lambda:GetEventSourceMapping"],
                [self._on_sale_queue.mapping.event_source_mapping_arn],
            )
        _allow(
            grantee,
            "SeeWhoIsNotified",
            ["sns:ListSubscriptionsByTopic"],
            [self._topic.topic_arn],
        )
        _allow(
            grantee,
            "ReadTheAlarms",
            ["cloudwatch:DescribeAlarms"],
            [each.alarm_arn for each in self._alarms],
        )

        stack = Stack.of(self._scope)
        # A partner event source and the bus that it feeds have one name; the source has no account.
        source = f"event-source/{self._event_bus.event_bus_name}"
        _allow(
            grantee,
            "ReadTheEventSource",
            ["events:DescribeEventSource"],
            [stack.format_arn(service="events", account="", resource=source)],
        )
        if self._api is not None:
            path = f"/restapis/{self._api.rest_api_id}/*"
            _allow(
                grantee,
                "ReadTheApi",
                ["apigateway:GET"],
                [
                    stack.format_arn(
                        service="apigateway",
                        account="",
                        resource=path,
                        arn_format=ArnFormat.NO_RESOURCE_NAME,
                    )
                ],
            )

    def resolve(self, grantee: iam.IGrantable) -> None:
        """Allow closing anomalies, and finding the function that does it."""
        self._allow_looking_at_the_stack(grantee)
        _allow(
            grantee,
            "ResolveAnomalies",
            ["lambda:InvokeFunction"],
            [self._operations.resolve.function.function_arn],
        )
        _allow(
            grantee,
            "FindTheResolvingFunction",
            ["lambda:GetFunctionConfiguration"],
            [self._operations.resolve.function.function_arn],
        )

    def _allow_looking_at_the_stack(self, grantee: iam.IGrantable) -> None:
        stack = Stack.of(self._scope)
        # With a star, because who asks for a stack by its name does not know its ARN's end.
        name = f"{stack.stack_name}/*"
        _allow(
            grantee,
            "LookAtTheStack",
            [
                "cloudformation:DescribeStacks",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
            ],
            [stack.format_arn(service="cloudformation", resource="stack", resource_name=name)],
        )


def _allow(grantee: iam.IGrantable, sid: str, actions: list[str], resource_arns: list[str]) -> None:
    # Not `Grant.add_to_principal`, whose statements have no sid.
    grantee.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(sid=sid, actions=actions, resources=resource_arns)
    )
