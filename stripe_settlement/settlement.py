"""Both routes, one settlement, one set of alarms."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from aws_cdk import Duration, Stack, Tags
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement._production import production_objections, refuse
from stripe_settlement._validation import (
    require_mode,
    require_one_audience,
    require_webhook,
)
from stripe_settlement.bundling.code import settlement_code
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.functions.network import network_of
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.functions.settlement_functions import (
    EVENT_FUNCTION,
    WEBHOOK_FUNCTION,
    SettlementFunctions,
)
from stripe_settlement.monitoring.alarm_topic import AlarmTopic
from stripe_settlement.monitoring.alarms import SettlementAlarms
from stripe_settlement.monitoring.dashboard import SettlementDashboard
from stripe_settlement.monitoring.metrics import FIVE_MINUTES, SettlementMetric, settlement_metric
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.webhook import WebhookRoute
from stripe_settlement.settings import SettlementSettings


class StripeSettlement(Construct):
    """Settles every paid Stripe checkout exactly once, whichever route delivers it.

    Whatever fails on the way waits in a queue, and somebody is told. The parts are attributes, each
    of them a construct that can be used alone.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        livemode: bool,
        database: DatabaseConnection,
        stripe_secret: secretsmanager.ISecret | None = None,
        event_source_name: str | None = None,
        event_bus: events.IEventBus | None = None,
        rest_api: apigateway.IRestApi | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        alarm_topic: sns.ITopic | None = None,
        queue_key: kms.IKey | None = None,
        permissions_boundary: iam.IManagedPolicy | None = None,
        code: lambda_.Code | None = None,
        settings: SettlementSettings | None = None,
    ) -> None:
        """
        Args:
            scope: the parent construct.
            construct_id: its id there.
            livemode: whether real money (True) or Stripe's test mode (False) is settled. Neither
                reaches the orders of the other. With True, what would hurt is refused.
            database: where the orders are.
            stripe_secret: JSON secret whose `webhook_secret` holds the endpoint's signing secret,
                or several separated by commas. Needed for the webhook alone.
            event_source_name: Stripe's partner event source, `aws.partner/stripe.com/ed_…`: creates
                the bus of that name, which associates the source.
            event_bus: a bus that exists already, instead of `event_source_name`.
            rest_api: an API to add the webhook to, instead of creating one.
            vpc: the database's network. Its subnets need a way to Secrets Manager: a NAT or an
                interface endpoint.
            vpc_subnets: where in the VPC; by default its private subnets.
            security_groups: of the functions; by default one is created for all of them.
            alarm_topic: a topic with subscribers of its own, instead of creating one. CloudWatch
                must be allowed to publish to it and to use its key.
            queue_key: customer-managed key of the failure queues.
            permissions_boundary: for every role created here, and for the one CDK creates in this
                stack to run the migration.
            code: the functions' asset; by default it is bundled from what this library ships.
            settings: everything else.

        Raises:
            ValueError: arguments that contradict each other, or that would hurt in live mode.
        """
        super().__init__(scope, construct_id)
        self.settings: Final = settings or SettlementSettings()
        """What was asked for."""
        require_mode(livemode)
        require_webhook(self.settings, stripe_secret=stripe_secret, rest_api=rest_api)
        require_one_audience(self.settings, alarm_topic=alarm_topic)
        network = network_of(vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        if livemode:
            self._refuse_what_would_hurt(database, event_source_name or event_bus, alarm_topic)
        self.livemode: Final = livemode
        """Whether real money is settled."""
        self.service_name: Final = (
            self.settings.service_name or self.settings.resource_prefix or Stack.of(self).stack_name
        )
        """The service in logs and tags, and the metrics' only dimension."""
        self.network: Final = network and network.with_security_group(self)
        """Where all functions run; None outside a VPC."""
        family = SettlementFunctions(
            scope=self,
            settings=self.settings,
            livemode=livemode,
            service_name=self.service_name,
            code=code or self._bundle(),
            database=database,
            queue_key=queue_key,
            network=self.network,
        )
        self.event_function: Final = family.event_function()
        """Settles what EventBridge delivers."""
        self.event_route: Final = self._event_route(event_source_name, event_bus, queue_key)
        """The preferred route."""
        self.webhook_function: Final = (
            family.webhook_function(self.settings.webhook, stripe_secret)
            if self.settings.webhook and stripe_secret
            else None
        )
        """Settles what the webhook delivers; None without one."""
        self.webhook_route: Final = self._webhook_route(rest_api)
        """The fallback route; None if the settings leave it out."""
        self.migration: Final = (
            family.migration(self.settings.migration) if self.settings.migration else None
        )
        """Brings the tables up to date before the routes go live; None if the settings say so."""
        self._migrate_before_going_live()
        self.alarm_topic: Final = alarm_topic or self._alarm_topic()
        """Told by every alarm."""
        self.alarms: Final = self._alarms()
        """Every alarm, in `alarms.alarms`."""
        self.dashboard: Final = self._dashboard()
        """The page to look at; None if the settings leave it out."""
        self._tag()
        if permissions_boundary is not None:
            self._bound(permissions_boundary)

    @property
    def webhook_url(self) -> str | None:
        """What Stripe is told to call; None without a webhook."""
        return self.webhook_route.url if self.webhook_route else None

    @property
    def failure_queues(self) -> dict[str, sqs.IQueue]:
        """Every queue that is empty as long as all is well, by what people call it."""
        queues = {
            "Stripe event DLQ": self.event_route.delivery_dlq,
            f"{EVENT_FUNCTION} on-failure queue": self.event_function.failure_queue,
        }
        if self.webhook_function is not None:
            queues[f"{WEBHOOK_FUNCTION} on-failure queue"] = self.webhook_function.failure_queue
        return queues

    @property
    def connections(self) -> ec2.Connections:
        """For a database's `connections.allow_default_port_from(…)`.

        Raises:
            ValueError: the functions run outside any VPC.
        """
        if self.network is None:
            raise ValueError(
                f"{self.node.path} runs outside any VPC, so it has no security group to let in. "
                "Pass the database's vpc to StripeSettlement."
            )
        return ec2.Connections(security_groups=list(self.network.security_groups))

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody run `python -m stripe_settlement_cli redrive` on this stack.

        That is: see what is in the stack and how the functions and the rule hand over failures,
        take messages out of the failure queues, and hand them to the functions.
        """
        stack, functions = Stack.of(self), self._function_arns()
        # With a star, because whoever asks for a stack by its name does not know its ARN's end.
        name = f"{stack.stack_name}/*"
        arn = stack.format_arn(service="cloudformation", resource="stack", resource_name=name)
        grants = [
            self.grant_invoke(grantee),
            *(queue.grant_consume_messages(grantee) for queue in self.failure_queues.values()),
            self._grant(grantee, "cloudformation:ListStackResources", arn),
            self._grant(grantee, "events:ListTargetsByRule", self.event_route.rule.rule_arn),
            self._grant(grantee, "lambda:GetFunctionConfiguration", *functions),
            self._grant(grantee, "lambda:ListFunctionEventInvokeConfigs", *functions),
        ]
        return reduce(lambda all_of_them, each: all_of_them.combine(each), grants)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody hand events to the functions directly, `$LATEST` alone."""
        return self._grant(grantee, "lambda:InvokeFunction", *self._function_arns())

    def _grant(self, grantee: iam.IGrantable, action: str, *resource_arns: str) -> iam.Grant:
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=[action], resource_arns=list(resource_arns), scope=self
        )

    def _function_arns(self) -> list[str]:
        return [each.function.function_arn for each in self._functions().values()]

    def metric(
        self,
        name: SettlementMetric,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Anything the functions count or measure themselves."""
        return settlement_metric(
            name,
            namespace=self.settings.metrics_namespace,
            service=self.service_name,
            statistic=statistic,
            period=period,
            label=label,
        )

    def metric_settled(self) -> cloudwatch.Metric:
        """Orders settled."""
        return self.metric(SettlementMetric.SETTLED)

    def metric_anomalies(self) -> cloudwatch.Metric:
        """Payments that could not be matched with their order and wait for a person."""
        return self.metric(SettlementMetric.PAYMENT_ANOMALY)

    def metric_retries(self) -> cloudwatch.Metric:
        """Deliveries put off: they come again."""
        return self.metric(SettlementMetric.SETTLEMENT_RETRY)

    def metric_unauthenticated(self) -> cloudwatch.Metric:
        """Webhook requests refused for their signature."""
        return self.metric(SettlementMetric.UNAUTHENTICATED)

    def metric_lag(self, statistic: str = "p99") -> cloudwatch.Metric:
        """Milliseconds from the event's creation at Stripe to the commit."""
        return self.metric(SettlementMetric.SETTLEMENT_LAG, statistic=statistic)

    def _refuse_what_would_hurt(
        self,
        database: DatabaseConnection,
        named_bus: str | events.IEventBus | None,
        alarm_topic: sns.ITopic | None,
    ) -> None:
        objections = production_objections(
            self.settings,
            names_its_bus=named_bus is not None,
            brings_its_topic=alarm_topic is not None,
            database_tls=database.tls,
        )
        refuse(objections, why=f"{self.node.path} would settle real money (livemode=True), but:")

    def _bundle(self) -> lambda_.Code:
        functions = self.settings.functions
        return settlement_code(runtime=functions.runtime, architecture=functions.architecture)

    def _event_route(
        self,
        event_source_name: str | None,
        event_bus: events.IEventBus | None,
        queue_key: kms.IKey | None,
    ) -> EventRoute:
        return EventRoute(
            self,
            "EventRoute",
            handler=self.event_function.function,
            livemode=self.livemode,
            event_source_name=event_source_name,
            event_bus=event_bus,
            settings=self.settings.events,
            queue_settings=self.settings.queues,
            queue_key=queue_key,
            rule_name=self.settings.physical_name("stripe-events"),
            delivery_dlq_name=self.settings.physical_name("stripe-event-dlq"),
        )

    def _webhook_route(self, rest_api: apigateway.IRestApi | None) -> WebhookRoute | None:
        if self.webhook_function is None:
            return None
        return WebhookRoute(
            self,
            "WebhookRoute",
            handler=self.webhook_function.function,
            settings=self.settings.webhook,
            rest_api=rest_api,
        )

    def _migrate_before_going_live(self) -> None:
        if self.migration is None:
            return
        # New code waits as well as the routes: in an update they are live already.
        self.migration.run_before(self.event_function.function, self.event_route.rule)
        if self.webhook_function is not None and self.webhook_route is not None:
            self.migration.run_before(self.webhook_function.function, self.webhook_route.method)

    def _alarm_topic(self) -> sns.ITopic:
        return AlarmTopic(
            self,
            "AlarmTopic",
            topic_name=self.settings.physical_name("stripe-event-failures"),
            email_subscriptions=self.settings.alarms.email_subscriptions,
        ).topic

    def _alarms(self) -> SettlementAlarms:
        alarms = SettlementAlarms(
            self,
            "Alarms",
            topic=self.alarm_topic,
            settings=self.settings.alarms,
            name_prefix=self.settings.resource_prefix,
        )
        for label, function in self._functions().items():
            alarms.watch_function(
                function.function,
                label=label,
                timeout=function.timeout,
                failure_queue=function.failure_queue,
            )
        route = self.event_route
        alarms.watch_event_route(
            rule=route.rule,
            event_bus=route.event_bus,
            uses_default_bus=route.uses_default_bus,
            delivery_dlq=route.delivery_dlq,
        )
        if (webhook := self.webhook_route) is not None:
            alarms.watch_webhook(api_name=webhook.api_name, stage_name=webhook.stage_name)
        alarms.watch_settlements(
            namespace=self.settings.metrics_namespace,
            service=self.service_name,
            webhook=webhook is not None,
        )
        return alarms

    def _dashboard(self) -> SettlementDashboard | None:
        if not self.settings.dashboard:
            return None
        route, webhook = self.event_route, self.webhook_route
        return SettlementDashboard(
            self,
            "Dashboard",
            namespace=self.settings.metrics_namespace,
            service=self.service_name,
            rule=route.rule,
            event_bus=route.event_bus,
            uses_default_bus=route.uses_default_bus,
            functions={label: function.function for label, function in self._functions().items()},
            queues=self.failure_queues,
            alarms=self.alarms.alarms,
            webhook_api_name=webhook.api_name if webhook else None,
            webhook_stage_name=webhook.stage_name if webhook else None,
            name_prefix=self.settings.resource_prefix,
        )

    def _functions(self) -> dict[str, SettlementFunction]:
        functions = {EVENT_FUNCTION: self.event_function}
        if self.webhook_function is not None:
            functions[WEBHOOK_FUNCTION] = self.webhook_function
        return functions

    def _tag(self) -> None:
        mode = "live" if self.livemode else "test"
        tags = {
            "Environment": self.settings.environment_name or mode,
            "Service": self.service_name,
            "ManagedBy": "aws-cdk",
            **self.settings.tags,
        }
        for key, value in tags.items():
            Tags.of(self).add(key, value)
        for child in self.node.children:
            Tags.of(child).add("Component", child.node.id)

    def _bound(self, boundary: iam.IManagedPolicy) -> None:
        iam.PermissionsBoundary.of(self).apply(boundary)
        if self.migration is not None:
            self.migration.apply_permissions_boundary_to_trigger(boundary)
