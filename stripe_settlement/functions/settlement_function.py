"""A function that settles, with its second failure path: retries and an on-failure queue."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.encryption import key_statement
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.functions.database_function import DatabaseFunction
from stripe_settlement.functions.network import Network
from stripe_settlement.settings import FunctionSettings, QueueSettings


class SettlementFunction(DatabaseFunction):
    """A handler of Stripe's events whose failures are retained in a queue.

    EventBridge's retries end when Lambda has accepted the event. From there on an exception is
    Lambda's business: it invokes again, and then hands the event and the error to the on-failure
    queue ("Asynchronous invocation", Lambda Developer Guide). API Gateway invokes synchronously and
    leaves the retries to Stripe; the webhook's function has the same path all the same, because
    whoever redrives an event by hand invokes asynchronously.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: str,
        code: lambda_.Code,
        database: DatabaseConnection,
        description: str,
        settings: FunctionSettings | None = None,
        queue_settings: QueueSettings | None = None,
        environment: Mapping[str, str] | None = None,
        name_prefix: str | None = None,
        queue_key: kms.IKey | None = None,
        network: Network | None = None,
    ) -> None:
        """Create the function with its queue.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            handler: `module.function` in the asset.
            code: the asset, built for the runtime and the architecture of the settings.
            database: whose address and secret the function is given.
            description: what the console shows.
            settings: size, time limit, retries, logs, tracing.
            queue_settings: of the on-failure queue.
            environment: variables beside the database's; no secrets.
            name_prefix: begins the physical names, which end as the id says; without it
                CloudFormation names function and queue.
            queue_key: customer-managed key of the on-failure queue.
            network: the database's; by default the function runs outside any VPC.
        """
        settings = settings or FunctionSettings()
        super().__init__(
            scope,
            construct_id,
            handler=handler,
            code=code,
            database=database,
            description=description,
            settings=settings,
            environment=environment,
            function_name=physical_name(name_prefix, construct_id),
            network=network,
        )
        self.failure_queue: Final = FailureQueue(
            self,
            "FailureQueue",
            label=f"{construct_id} on-failure queue",
            settings=queue_settings,
            name_prefix=name_prefix,
            encryption_key=queue_key,
        )
        """Holds the event and the error of what failed in the function at every attempt."""
        self._allow_sending_to_the_queue(queue_key)
        # The L1, because the L2's destination adds a statement of its own without a sid.
        asynchronous = lambda_.CfnEventInvokeConfig(
            self,
            "AsynchronousInvocation",
            function_name=self.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=settings.retry_attempts,
            maximum_event_age_in_seconds=int(settings.max_event_age.to_seconds()),
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(
                    destination=self.failure_queue.queue.queue_arn
                )
            ),
        )
        # Lambda checks at once that the role may send to the destination.
        asynchronous.node.add_dependency(self.role)
        self._acknowledge_destination_instead_of_dlq()

    def _allow_sending_to_the_queue(self, queue_key: kms.IKey | None) -> None:
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="SendToOnFailureQueue",
                actions=["sqs:SendMessage"],
                resources=[self.failure_queue.queue.queue_arn],
            )
        )
        if queue_key is not None:
            self.role.add_to_policy(
                key_statement(
                    self,
                    queue_key,
                    sid="EncryptForTheOnFailureQueue",
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    via="sqs",
                )
            )

    def _acknowledge_destination_instead_of_dlq(self) -> None:
        Validations.of(self.function).acknowledge(
            Acknowledgment(
                id="Serverless-LambdaDLQ",
                reason="The on-failure destination holds the event and the error; a function DLQ "
                "would hold the same event a second time, without the error.",
            )
        )
