"""Both routes, one settlement, one set of alarms."""

from collections.abc import Sequence
from typing import Final

import jsii
from aws_cdk import Annotations, Duration, Tags
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

from stripe_settlement._checks import (
    production_errors,
    raise_if_any,
    require_local_bus,
    require_mode,
    require_own_account,
    require_topic,
    require_unique_names,
    require_webhook,
)
from stripe_settlement._naming import api_name, name_by_path, physical_name
from stripe_settlement._validation import require_types
from stripe_settlement.bundling.code import settlement_code
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.functions.network import network_of
from stripe_settlement.functions.python_function import PythonFunction
from stripe_settlement.functions.settlement_functions import SettlementFunctions
from stripe_settlement.monitoring.alarm_topic import AlarmTopic, allow_alarms
from stripe_settlement.monitoring.alarms import SettlementAlarms
from stripe_settlement.monitoring.dashboard import SettlementDashboard
from stripe_settlement.monitoring.metrics import FIVE_MINUTES, SettlementMetric, SettlementMetrics
from stripe_settlement.operations import OperationsGrant
from stripe_settlement.redrive_grant import RedriveGrant
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.on_sale_queue import OnSaleQueue
from stripe_settlement.routes.webhook import WebhookRoute
from stripe_settlement.settings import SettlementSettings
from stripe_settlement.stripe_account.access import StripeAccess
from stripe_settlement.stripe_account.event_destination import EventDestination
from stripe_settlement.stripe_account.signing_secret import SigningSecret
from stripe_settlement.stripe_account.webhook_endpoint import WebhookEndpoint

_OWNERS_TAGS_WIN = 50
"""Below the 100 of every other tag: what an app or a stack says of itself stays."""


@jsii.implements(ec2.IConnectable)
class StripeSettlement(Construct):
    """Settles every paid Stripe checkout exactly once, whichever route delivers it.

    What fails on the way is retained in a queue, and the operator is notified. The parts are
    attributes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        livemode: bool,
        database: DatabaseConnection,
        stripe_secret: secretsmanager.ISecret | None = None,
        stripe_api_key_secret: secretsmanager.ISecret | None = None,
        thin_events_key_secret: secretsmanager.ISecret | None = None,
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
        """Create everything that one settlement needs.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            livemode: whether real money (True) or Stripe's test mode (False) is settled. Neither
                reaches the orders of the other. With True, what would do harm is an error.
            database: where the orders are.
            stripe_secret: JSON secret whose `webhook_secret` holds the endpoint's signing secret,
                or several separated by commas. Needed for the webhook alone, and there only without
                `stripe_api_key_secret`.
            stripe_api_key_secret: JSON secret whose `api_key` is a secret or restricted key of
                Stripe's. With it the stack creates and owns at Stripe what is not named here:
                without `event_source_name` and `event_bus` the event destination, without
                `stripe_secret` the webhook endpoint.
            thin_events_key_secret: JSON secret whose `api_key` may read Checkout Sessions. With it
                the functions that settle fetch the session that a thin event names; without it a
                thin event is an anomaly. A restricted key with no other permission is best, since
                the webhook's function may read it; `stripe_api_key_secret` works too.
            event_source_name: Stripe's partner event source, `aws.partner/stripe.com/ed_…`: creates
                the bus of that name, which associates the source.
            event_bus: a bus that exists already, instead of `event_source_name`.
            rest_api: an API to add the webhook to, instead of creating one.
            vpc: the database's network; by default the functions run outside any VPC. Its subnets
                need a way to Secrets Manager: a NAT or an interface endpoint; for thin events and
                reconciliation a NAT, since Stripe is on the internet.
            vpc_subnets: where in the VPC; by default its private subnets.
            security_groups: of the functions; by default one is created for all of them.
            alarm_topic: a topic with subscribers of its own, instead of creating one. CloudWatch is
                allowed to publish to a topic of this app and to use its key; an imported topic and
                its key must allow it themselves.
            queue_key: customer-managed key of the failure queues.
            permissions_boundary: for every role created here.
            code: the functions' asset; by default it is bundled from what this library ships.
            settings: everything else.

        Raises:
            TypeError: an argument of another type.
            ValueError: arguments that contradict each other, that AWS would reject, or that would
                do harm in live mode.
        """
        arguments = dict(locals())
        super().__init__(scope, construct_id)
        self.settings: Final = settings or SettlementSettings()
        """What was asked for."""
        require_mode(livemode)
        require_types("StripeSettlement", StripeSettlement.__init__, arguments)
        require_webhook(
            self.settings,
            stripe_secret=stripe_secret,
            stripe_api_key_secret=stripe_api_key_secret,
            rest_api=rest_api,
        )
        has_key = stripe_api_key_secret is not None
        names_its_bus = event_source_name is not None or event_bus is not None
        require_own_account(
            self.settings,
            creates_destination=has_key and not names_its_bus,
            creates_endpoint=has_key and stripe_secret is None,
        )
        require_topic(self, self.settings, alarm_topic=alarm_topic)
        require_local_bus(self, event_bus)
        network = network_of(vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        if livemode:
            errors = production_errors(
                self.settings,
                names_its_bus=names_its_bus or has_key,
                brings_its_topic=alarm_topic is not None,
                database_tls=database.tls,
            )
            why = f"{self.node.path} would settle real money (livemode=True), but:"
            raise_if_any(errors, why=why)
        self.livemode: Final = livemode
        """Whether real money is settled."""
        prefix = self.settings.resource_prefix
        self.resource_prefix: Final = prefix
        """Begins the physical names; None if CloudFormation makes them."""
        self.service_name: Final = self.settings.service_name or prefix or name_by_path(self)
        """The service in logs and tags, and the metrics' only dimension."""
        require_unique_names(self, StripeSettlement, "resource_prefix", "service_name")
        self._warn_if_paused()
        self._metrics = SettlementMetrics(
            namespace=self.settings.metrics_namespace, service=self.service_name
        )
        self.network: Final = network and network.with_security_group(self)
        """Where all functions run; None outside a VPC."""
        code = code or self._bundle()
        access = self._stripe_access(stripe_api_key_secret, code)
        create = SettlementFunctions(
            scope=self,
            settings=self.settings,
            livemode=livemode,
            service_name=self.service_name,
            code=code,
            database=database,
            queue_key=queue_key,
            network=self.network,
            thin_events_key_secret=thin_events_key_secret,
        )
        self.event_function: Final = create.event_function()
        """Settles what EventBridge delivers."""
        self.event_destination: Final = (
            self._event_destination(access) if access and not names_its_bus else None
        )
        """Stripe's side of the preferred route; None if it is not this stack's."""
        if self.event_destination is not None:
            event_source_name = self.event_destination.event_source_name
        if event_source_name is not None:
            self.event_function.function.add_environment("STRIPE_EVENT_SOURCE", event_source_name)
        self.on_sale_queue: Final = self._on_sale_queue(queue_key)
        """Between the rule and the function; None without on-sale mode."""
        self.event_route: Final = EventRoute(
            self,
            "EventRoute",
            handler=self.event_function.function,
            livemode=livemode,
            event_source_name=event_source_name,
            event_bus=event_bus,
            settings=self.settings.events,
            queue_settings=self.settings.queues,
            queue_key=queue_key,
            name_prefix=prefix,
            source_may_change=self.event_destination is not None,
            queue=self.on_sale_queue.queue
            if self.on_sale_queue and not self.on_sale_queue.draining
            else None,
        )
        """The preferred route."""
        self.signing_secret: Final = (
            SigningSecret(self, "SigningSecret").secret
            if access and self.settings.webhook and stripe_secret is None
            else None
        )
        """Of the webhook endpoint, kept by this stack; None if the endpoint is not this stack's."""
        stripe_secret = stripe_secret or self.signing_secret
        self.webhook_function: Final = (
            create.webhook_function(self.settings.webhook, stripe_secret)
            if self.settings.webhook and stripe_secret
            else None
        )
        """Settles what the webhook delivers; None without one."""
        self.webhook_route: Final = (
            WebhookRoute(
                self,
                "WebhookRoute",
                handler=self.webhook_function.function,
                settings=self.settings.webhook,
                rest_api=rest_api,
                api_name=api_name(prefix, self),
            )
            if self.webhook_function
            else None
        )
        """The fallback route; None if the settings leave it out."""
        self.functions: Final = [
            self.event_function,
            *([self.webhook_function] if self.webhook_function else []),
        ]
        """The functions that settle."""
        self.webhook_endpoint: Final = self._webhook_endpoint(access)
        """Stripe's side of the fallback route; None if it is not this stack's."""
        self.reconciliation: Final = (
            create.reconciliation(self.settings.reconciliation, stripe_api_key_secret)
            if self.settings.reconciliation and stripe_api_key_secret is not None
            else None
        )
        """The third net; None without an API key, or if the settings leave it out."""
        self.operations: Final = (
            create.operations(self.settings.operations) if self.settings.operations else None
        )
        """What the operator's command line asks; None if the settings leave it out."""
        self.migration: Final = (
            create.migration(self.settings.migration) if self.settings.migration else None
        )
        """Brings the tables up to date before the routes go live; None if the settings say so."""
        self._migrate_before_going_live()
        self.alarm_topic: Final = alarm_topic or self._alarm_topic()
        """Where every alarm is published."""
        if alarm_topic is not None:
            allow_alarms(alarm_topic)
        self.alarms: Final = SettlementAlarms(
            self,
            "Alarms",
            topic=self.alarm_topic,
            functions=self.functions,
            event_route=self.event_route,
            on_sale_queue=self.on_sale_queue,
            webhook_route=self.webhook_route,
            metrics=self._metrics,
            reconciliation=self.reconciliation,
            settings=self.settings.alarms,
            name_prefix=prefix,
        )
        """Every alarm, in `alarms.alarms`."""
        self.dashboard: Final = self._dashboard() if self.settings.dashboard else None
        """The page to look at; None if the settings leave it out."""
        self._grants = RedriveGrant(
            self,
            functions=[each.function for each in self.functions],
            queues=list(self.failure_queues.values()),
            rule=self.event_route.rule,
            on_sale_queue=self.on_sale_queue,
        )
        self._tag()
        if permissions_boundary is not None:
            iam.PermissionsBoundary.of(self).apply(permissions_boundary)

    @property
    def webhook_url(self) -> str | None:
        """The endpoint's address, to register in Stripe; None without a webhook."""
        return self.webhook_route.url if self.webhook_route else None

    @property
    def failure_queues(self) -> dict[str, sqs.IQueue]:
        """Every queue that is empty as long as all is well, by its label."""
        queues = [self.event_route.dlq, *(each.failure_queue for each in self.functions)]
        if self.on_sale_queue is not None:
            queues.append(self.on_sale_queue.dlq)
        return {each.label: each.queue for each in queues}

    @property
    def connections(self) -> ec2.Connections:
        """For a database's `connections.allow_default_port_from(…)`.

        Raises:
            ValueError: the functions run outside any VPC.
        """
        if self.network is None:
            raise ValueError(
                f"{self.node.path} runs outside any VPC, so it has no security group to allow. "
                "Pass the database's vpc to StripeSettlement."
            )
        return ec2.Connections(security_groups=list(self.network.security_groups))

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow `stripe-settlement redrive` on this stack.

        That is: list what is in the stack and where the functions and the rule send failures,
        consume the failure queues, and invoke the functions.
        """
        return self._grants.redrive(grantee)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow invoking the functions directly, `$LATEST` alone."""
        return self._grants.invoke(grantee)

    def grant_observe(self, grantee: iam.IGrantable) -> None:
        """Allow `stripe-settlement` to look: at the stack, its logs and, by closed verbs, its data.

        Not at what waits in the queues, which is the customers': that is `grant_redrive`.

        Raises:
            ValueError: the settings leave `operations` out.
        """
        self._operations_grant().observe(grantee)

    def grant_resolve(self, grantee: iam.IGrantable) -> None:
        """Allow `stripe-settlement anomalies resolve`: closing anomalies, and nothing else.

        Raises:
            ValueError: the settings leave `operations` out.
        """
        self._operations_grant().resolve(grantee)

    def metric(
        self,
        name: SettlementMetric,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return a metric that the functions count or measure themselves."""
        return self._metrics.metric(name, statistic=statistic, period=period, label=label)

    def metric_settled(self) -> cloudwatch.Metric:
        """Return the number of orders settled."""
        return self.metric(SettlementMetric.SETTLED)

    def metric_anomalies(self) -> cloudwatch.Metric:
        """Return the number of payments that do not match their order and need the operator."""
        return self.metric(SettlementMetric.PAYMENT_ANOMALY)

    def metric_retries(self) -> cloudwatch.Metric:
        """Return the number of deliveries put off: they come again."""
        return self.metric(SettlementMetric.SETTLEMENT_RETRY)

    def metric_unauthenticated(self) -> cloudwatch.Metric:
        """Return the number of webhook requests rejected for their signature."""
        return self.metric(SettlementMetric.UNAUTHENTICATED)

    def metric_lag(self, statistic: str = "p99") -> cloudwatch.Metric:
        """Return the milliseconds from the event's creation at Stripe to the commit."""
        return self.metric(SettlementMetric.SETTLEMENT_LAG, statistic=statistic)

    def _operations_grant(self) -> OperationsGrant:
        if self.operations is None:
            raise ValueError(
                f"{self.node.path} has no functions to ask: operations is None. Leave it at "
                "OperationsSettings() to have them."
            )
        functions: list[PythonFunction] = [
            *self.functions,
            self.operations.read,
            self.operations.resolve,
        ]
        functions += [self.reconciliation.function] if self.reconciliation else []
        return OperationsGrant(
            self,
            operations=self.operations,
            functions=functions,
            queues=list(self.failure_queues.values()),
            on_sale_queue=self.on_sale_queue,
            rule=self.event_route.rule,
            topic=self.alarm_topic,
            alarms=self.alarms.alarms,
            event_bus=self.event_route.event_bus,
            api=self.webhook_route.rest_api if self.webhook_route else None,
        )

    def _warn_if_paused(self) -> None:
        if self.settings.functions.reserved_concurrency == 0:
            Annotations.of(self).add_warning_v2(
                "stripe-settlement:paused",
                "reserved_concurrency is 0, which pauses: no payment is settled. To go on, deploy "
                "with another value, then run `stripe-settlement redrive`.",
            )

    def _on_sale_queue(self, key: kms.IKey | None) -> OnSaleQueue | None:
        if self.settings.events.queue is None:
            return None
        return OnSaleQueue(
            self,
            "OnSaleQueue",
            function=self.event_function,
            settings=self.settings.events.queue,
            queue_settings=self.settings.queues,
            encryption_key=key,
        )

    def _bundle(self) -> lambda_.Code:
        functions = self.settings.functions
        return settlement_code(runtime=functions.runtime, architecture=functions.architecture)

    def _stripe_access(
        self, api_key_secret: secretsmanager.ISecret | None, code: lambda_.Code
    ) -> StripeAccess | None:
        if api_key_secret is None:
            return None
        return StripeAccess(
            livemode=self.livemode,
            api_key_secret=api_key_secret,
            code=code,
            settings=self.settings.stripe_resources,
            functions=self.settings.functions,
            service_name=self.service_name,
            network=self.network,
        )

    def _event_destination(self, access: StripeAccess) -> EventDestination:
        return EventDestination(
            self,
            "EventDestination",
            access=access,
            event_types=self.settings.events.detail_types,
            name=self.service_name,
            function_name=physical_name(self.settings.resource_prefix, "stripe-event-destination"),
        )

    def _webhook_endpoint(self, access: StripeAccess | None) -> WebhookEndpoint | None:
        if access is None or self.signing_secret is None or self.webhook_route is None:
            return None
        endpoint = WebhookEndpoint(
            self,
            "WebhookEndpoint",
            access=access,
            signing_secret=self.signing_secret,
            url=self.webhook_route.url,
            function_name=physical_name(self.settings.resource_prefix, "stripe-webhook-endpoint"),
        )
        # Stripe calls only what is there to answer, and stops before it goes.
        endpoint.resource.node.add_dependency(self.webhook_route, *self.functions)
        return endpoint

    def _migrate_before_going_live(self) -> None:
        if self.migration is None:
            return
        # New code waits as well as the routes: in an update they are live already.
        self.migration.run_before(self.event_function.function, self.event_route.rule)
        if self.webhook_function is not None and self.webhook_route is not None:
            self.migration.run_before(self.webhook_function.function, self.webhook_route.method)
        if (net := self.reconciliation) is not None:
            self.migration.run_before(net.function.function, net.rule)

    def _alarm_topic(self) -> sns.ITopic:
        return AlarmTopic(
            self,
            "AlarmTopic",
            topic_name=physical_name(self.settings.resource_prefix, "stripe-event-failures"),
            email_subscriptions=self.settings.alarms.email_subscriptions,
            encryption_key=self.settings.alarms.topic_key,
        ).topic

    def _dashboard(self) -> SettlementDashboard:
        return SettlementDashboard(
            self,
            "Dashboard",
            functions=self.functions,
            event_route=self.event_route,
            on_sale_queue=self.on_sale_queue,
            webhook_route=self.webhook_route,
            metrics=self._metrics,
            reconciliation=self.reconciliation,
            alarms=self.alarms.alarms,
            name_prefix=self.settings.resource_prefix,
        )

    def _tag(self) -> None:
        tags = {
            "Environment": self.settings.environment_name or ("live" if self.livemode else "test"),
            "Service": self.service_name,
            "ManagedBy": "aws-cdk",
        }
        for key, value in tags.items():
            Tags.of(self).add(key, value, priority=_OWNERS_TAGS_WIN)
        for child in self.node.children:
            Tags.of(child).add("Component", child.node.id, priority=_OWNERS_TAGS_WIN)
        for key, value in self.settings.tags.items():
            Tags.of(self).add(key, value)
