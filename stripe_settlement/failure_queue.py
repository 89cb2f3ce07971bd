"""A queue for what went wrong: encrypted, TLS only, messages retained as long as SQS allows."""

from typing import Final

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.encryption import allow_service
from stripe_settlement.settings import QueueSettings


class FailureQueue(Construct):
    """Where an event waits for the operator after every retry has failed."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        label: str,
        settings: QueueSettings | None = None,
        name_prefix: str | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        """Create the queue.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            label: what alarms and the dashboard call it, and its physical name after the prefix.
            settings: retention and what happens to the messages when the stack goes.
            name_prefix: begins the physical name; without it CloudFormation names the queue.
            encryption_key: customer-managed key; by default SQS encrypts with a key of its own.
        """
        super().__init__(scope, construct_id)
        settings = settings or QueueSettings()
        self.label: Final = label
        """What alarms and the dashboard call it."""
        self._key = encryption_key
        self.queue: Final = sqs.Queue(
            self,
            "Queue",
            queue_name=physical_name(name_prefix, label.removesuffix(" queue")),
            retention_period=settings.retention,
            visibility_timeout=settings.visibility_timeout,
            encryption=sqs.QueueEncryption.KMS
            if encryption_key
            else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=encryption_key,
            enforce_ssl=True,
            removal_policy=settings.removal_policy,
        )
        """The queue itself."""
        Validations.of(self.queue).acknowledge(
            *(
                Acknowledgment(
                    id=rule,
                    reason="This queue is where events wait after every retry has failed. It has "
                    "no consumer that could fail, so there is nothing to move on from it.",
                )
                for rule in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy")
            )
        )

    def allow_eventbridge_to_encrypt(self) -> None:
        """Allow EventBridge to use the queue's key, if it has one.

        EventBridge sends as a service, not with a role: only the key's own policy can allow it.
        The rule's ARN cannot be the condition, for the rule needs the queue and the queue its key.
        """
        if self._key is None:
            return
        allow_service(
            self,
            self._key,
            service="events.amazonaws.com",
            sid="AllowEventBridgeToUseKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            warning="delivery-dlq-key",
            otherwise="events that could not be delivered are lost",
        )
