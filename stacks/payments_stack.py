"""The stack of the service "cachao": parameters, secrets, the settlement, outputs."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import Annotations, CfnOutput, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.environments import Environment, NetworkIds
from stacks.parameters import DeploymentParameters
from stripe_settlement import (
    AlarmSettings,
    EventSettings,
    FunctionSettings,
    LogSettings,
    OnSaleQueueSettings,
    QueueSettings,
    SettlementSettings,
    StripeAccountSettings,
    StripeSettlement,
    WebhookSettings,
)
from stripe_settlement._checks import production_errors, raise_if_any


class PaymentsStack(Stack):
    """Stripe's payments of one environment."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        env: cdk.Environment | None = None,
    ) -> None:
        """Wire the stack.

        Args:
            scope: the app.
            construct_id: the stack's name.
            environment: what is deployed.
            env: where to.

        Raises:
            ValueError: something would do harm in production or with real money; it lists all.
        """
        super().__init__(
            scope,
            construct_id,
            env=env,
            description=f"Stripe's payments, settled exactly once ({environment.name})",
            termination_protection=environment.guarded,
        )
        parameters = DeploymentParameters(self, environment)
        event_source_name = parameters.event_source_name()
        key = (
            kms.Key.from_key_arn(self, "EncryptionKey", environment.encryption_key_arn)
            if environment.encryption_key_arn
            else None
        )
        settings = _settings(environment, parameters, key)
        _check_production(environment, settings)
        vpc, security_groups = self._network(environment.network)
        self.settlement: Final = StripeSettlement(
            self,
            "StripeSettlement",
            livemode=environment.livemode,
            database=parameters.database(),
            stripe_secret=parameters.stripe_secret(),
            stripe_api_key_secret=parameters.stripe_api_key_secret(),
            thin_events_key_secret=parameters.thin_events_key_secret(),
            event_source_name=event_source_name,
            vpc=vpc,
            security_groups=security_groups or None,
            queue_key=key,
            settings=settings,
        )
        """The service."""
        self._add_outputs()

    def _network(
        self, network: NetworkIds | None
    ) -> tuple[ec2.IVpc | None, list[ec2.ISecurityGroup]]:
        if network is None:
            return None, []
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=network.vpc_id,
            availability_zones=list(network.availability_zones),
            private_subnet_ids=list(network.subnet_ids),
        )
        Annotations.of(vpc).acknowledge_warning(
            "@aws-cdk/aws-ec2:noSubnetRouteTableId", "Nothing here asks for a route table."
        )
        groups = [
            ec2.SecurityGroup.from_security_group_id(self, f"SecurityGroup{index}", group_id)
            for index, group_id in enumerate(network.security_group_ids)
        ]
        return vpc, groups

    def _add_outputs(self) -> None:
        settlement, route = self.settlement, self.settlement.event_route
        self._output("EventRuleArn", route.rule.rule_arn, "The rule that takes Stripe's events")
        self._output("EventBusName", route.event_bus.event_bus_name, "The bus the rule is on")
        self._output("StripeEventDlqUrl", route.dlq.queue.queue_url, "Events not delivered")
        if (on_sale := settlement.on_sale_queue) is not None:
            self._output("OnSaleQueueUrl", on_sale.queue.queue_url, "Events waiting for a batch")
            self._output("OnSaleDlqUrl", on_sale.dlq.queue.queue_url, "Events no batch settled")
        for each in settlement.functions:
            name, queue = each.node.id, each.failure_queue
            self._output(f"{name}Name", each.function.function_name, f"Function {name}")
            self._output(
                f"{name}OnFailureQueueUrl",
                queue.queue.queue_url,
                "Events that this function failed on at every attempt",
            )
        self._output("AlarmTopicArn", settlement.alarm_topic.topic_arn, "Where alarms go")
        if settlement.webhook_url is not None:
            self._output("WebhookUrl", settlement.webhook_url, "The endpoint to register in Stripe")

    def _output(self, name: str, value: str, description: str) -> None:
        CfnOutput(self, name, value=value, description=description)


def _settings(
    environment: Environment, parameters: DeploymentParameters, key: kms.IKey | None
) -> SettlementSettings:
    logs = LogSettings(removal_policy=environment.removal_policy, encryption_key=key)
    return SettlementSettings(
        resource_prefix=environment.resource_prefix,
        environment_name=environment.name,
        functions=FunctionSettings(
            reserved_concurrency=environment.reserved_concurrency, logs=logs
        ),
        events=EventSettings(
            queue=OnSaleQueueSettings(draining=environment.on_sale == "draining")
            if environment.on_sale
            else None
        ),
        queues=QueueSettings(removal_policy=environment.removal_policy),
        stripe_resources=StripeAccountSettings(
            roll=environment.stripe_roll, api_base=parameters.stripe_api_base()
        ),
        webhook=WebhookSettings(access_logs=logs if environment.access_logs else None),
        alarms=AlarmSettings(
            email_subscriptions=tuple(parameters.alarm_emails()),
            topic_key=key,
            runbook_url=environment.runbook_url or AlarmSettings.runbook_url,
        ),
    )


def _check_production(environment: Environment, settings: SettlementSettings) -> None:
    if not environment.guarded:
        return
    raise_if_any(
        environment.errors()
        + production_errors(
            settings,
            names_its_bus=environment.event_source_name is not None
            or environment.stripe_api_key_secret_arn is not None,
            brings_its_topic=False,
            database_tls=environment.database_tls,
        ),
        why=f"The environment {environment.name!r} is production or settles real money, but:",
    )
