"""On-sale mode: a queue in front of the function, which settles a batch in one transaction."""

from typing import Final

from aws_cdk import Acknowledgment, ArnFormat, Duration, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement.encryption import key_statement
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.settings import OnSaleQueueSettings, QueueSettings

_VISIBILITY = 6
"""Times the function's timeout ("Configuring the queue", Lambda Developer Guide)."""


class OnSaleQueue(Construct):
    """The queue, its event source mapping, and its DLQ.

    A message is deleted when its own outcome is committed. What fails stays in the queue, and after
    `max_receive_count` attempts it is moved to the DLQ.

    CloudFormation names both queues: they are retained when on-sale mode is switched off, and a
    name of ours would stand in the way of the next time.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: SettlementFunction,
        settings: OnSaleQueueSettings | None = None,
        queue_settings: QueueSettings | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        """Create the queue and let the function consume it.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            function: settles the messages.
            settings: of the batches.
            queue_settings: of both queues; the visibility timeout is of the DLQ alone.
            encryption_key: customer-managed key of both queues, which EventBridge may use.
        """
        super().__init__(scope, construct_id)
        settings = settings or OnSaleQueueSettings()
        queue_settings = queue_settings or QueueSettings()
        self.function: Final = function
        """Settles the messages."""
        self.draining: Final = settings.draining
        """Whether the rule delivers past the queue."""
        self.dlq: Final = FailureQueue(
            self,
            "Dlq",
            label="On-sale DLQ",
            settings=queue_settings,
            encryption_key=encryption_key,
        )
        """Holds what failed in the function at every attempt."""
        self.queue: Final = sqs.Queue(
            self,
            "Queue",
            retention_period=queue_settings.retention,
            visibility_timeout=Duration.seconds(function.timeout.to_seconds() * _VISIBILITY),
            encryption=sqs.QueueEncryption.KMS
            if encryption_key
            else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=encryption_key,
            enforce_ssl=True,
            removal_policy=queue_settings.removal_policy,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dlq.queue, max_receive_count=settings.max_receive_count
            ),
        )
        """Holds what is waiting to be settled."""
        self._allow_rules_to_send()
        self._allow_consuming(encryption_key)
        self.mapping: Final = lambda_.EventSourceMapping(
            self,
            "EventSourceMapping",
            target=function.function,
            event_source_arn=self.queue.queue_arn,
            batch_size=settings.batch_size,
            max_batching_window=settings.batching_window,
            max_concurrency=settings.maximum_concurrency,
            report_batch_item_failures=True,
        )
        """Invokes the function with batches of the queue."""
        Validations.of(self.mapping).acknowledge(
            Acknowledgment(
                id="Serverless-LambdaEventSourceMappingDestination",
                reason="A mapping of a queue has no destination for failures: what fails stays in "
                "the queue, and the queue moves it to its own DLQ.",
            )
        )
        # Lambda checks at once that the role may consume the queue.
        self.mapping.node.add_dependency(function.role)

    def _allow_rules_to_send(self) -> None:
        """Allow this account's rules, not the one by its ARN: so the permission is there before.

        A rule that may not send sends nothing again ("Event retry policy", EventBridge User Guide).
        """
        stack = Stack.of(self)
        rules = stack.format_arn(
            service="events",
            resource="rule",
            resource_name="*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AllowRulesToSend",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={
                    "ArnLike": {"aws:SourceArn": rules},
                    "StringEquals": {"aws:SourceAccount": stack.account},
                },
            )
        )

    def _allow_consuming(self, encryption_key: kms.IKey | None) -> None:
        self.function.role.add_to_policy(
            iam.PolicyStatement(
                sid="ConsumeOnSaleQueue",
                actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                resources=[self.queue.queue_arn],
            )
        )
        if encryption_key is not None:
            self.function.role.add_to_policy(
                key_statement(
                    self,
                    encryption_key,
                    sid="DecryptTheOnSaleQueue",
                    actions=["kms:Decrypt"],
                    via="sqs",
                )
            )
