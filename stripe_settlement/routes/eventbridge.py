"""The preferred route: Stripe's partner events, through EventBridge."""

from typing import Any, Final

from aws_cdk import Annotations, Duration, Fn, Resource
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement._validation import is_unresolved, require_match
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.monitoring.metrics import FIVE_MINUTES
from stripe_settlement.settings import EventSettings, QueueSettings

PARTNER_SOURCE_PREFIX = "aws.partner/stripe.com/"
FORWARDER_SOURCE = "stripe.com"
"""What forwarders write that read Stripe's webhook and call PutEvents themselves."""


class EventRoute(Construct):
    """A bus, a rule, and the first failure path: delivery retries and a DLQ.

    The rule's retries and its queue are about DELIVERY only: a throttled function, a missing
    permission. What fails inside the function is the function's own failure path.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: lambda_.IFunction,
        livemode: bool,
        event_source_name: str | None = None,
        event_bus: events.IEventBus | None = None,
        settings: EventSettings | None = None,
        queue_settings: QueueSettings | None = None,
        queue_key: kms.IKey | None = None,
        name_prefix: str | None = None,
        source_may_change: bool = False,
        queue: sqs.IQueue | None = None,
    ) -> None:
        """Create the rule, its DLQ and, for a named source, its bus.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            handler: the function that settles.
            livemode: whether real payments are delivered (True) or test ones (False).
            event_source_name: Stripe's partner event source, `aws.partner/stripe.com/ed_…`. The bus
                of that name is created, which associates the source with it.
            event_bus: a bus that exists already, instead of `event_source_name`.
            settings: of the rule.
            queue_settings: of the DLQ.
            queue_key: customer-managed key of the DLQ.
            name_prefix: begins the physical names; without it CloudFormation names rule and queue.
            source_may_change: whether a deployment may bring another source, and so another bus.
                CloudFormation can replace the rule with it only if nobody has named the rule.
            queue: what the rule delivers to instead of the function, in on-sale mode; its own
                policy lets the rule.

        Raises:
            ValueError: both a source and a bus, or a source that is not Stripe's.
        """
        super().__init__(scope, construct_id)
        settings = settings or EventSettings()
        _check_source(event_source_name, event_bus)
        self.event_bus: Final = self._event_bus(event_source_name, event_bus, settings)
        """The bus the rule is on."""
        self.uses_default_bus: Final = self.event_bus.event_bus_name == "default"
        """Whether that is the account's `default` bus; its metrics have other dimensions."""
        self.dlq: Final = FailureQueue(
            self,
            "DeliveryDlq",
            label="Stripe event DLQ",
            settings=queue_settings,
            name_prefix=name_prefix,
            encryption_key=queue_key,
        )
        """Holds the events that could not be delivered to the function."""
        self.dlq.allow_eventbridge_to_encrypt()
        self._rule_name = None if source_may_change else physical_name(name_prefix, "stripe-events")
        delivery: dict[str, Any] = {
            "retry_attempts": settings.retry_attempts,
            "max_event_age": settings.max_event_age,
            "dead_letter_queue": self.dlq.queue,
        }
        direct = targets.LambdaFunction(handler, **delivery)
        self.rule: Final = events.Rule(
            self,
            "Rule",
            rule_name=self._rule_name,
            description=settings.description,
            enabled=settings.enabled,
            event_bus=None if self.uses_default_bus else self.event_bus,
            event_pattern=events.EventPattern(
                source=_sources(event_source_name),
                # Thin ones too, whether or not they can be settled: what no rule takes is lost.
                detail_type=[
                    *settings.detail_types,
                    *(f"v1.{name}" for name in settings.detail_types),
                ],
                detail={"livemode": [livemode]},
            ),
            targets=[
                direct if queue is None else targets.SqsQueue(self._imported(queue), **delivery)
            ],
        )
        """The rule that delivers."""
        if queue is not None:
            # The permission to invoke the function is there before the rule needs it again, and
            # the permission to send before it needs that.
            direct.bind(self.rule)
            self.rule.node.add_dependency(queue)

    def _imported(self, queue: sqs.IQueue) -> sqs.IQueue:
        """Return the queue with a policy that no target adds to: it would wait for the rule."""
        return sqs.Queue.from_queue_arn(self, "OnSaleQueue", queue.queue_arn)

    def metric(
        self,
        name: str,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return a metric of the rule, for example `FailedInvocations`; the CDK has no helper.

        On the default bus a rule's metrics carry `RuleName` alone, on any other bus `EventBusName`
        and `RuleName` (EventBridge User Guide, "Monitoring Amazon EventBridge"). With the wrong
        dimensions a metric has no data, and an alarm on it never fires.

        Raises:
            ValueError: the rule's name is known only at deployment, see `_generated_rule_name`.
        """
        dimensions = (
            {"RuleName": self.rule.rule_name}
            if self.uses_default_bus
            else {
                "EventBusName": self.event_bus.event_bus_name,
                "RuleName": self._rule_name or self._generated_rule_name(),
            }
        )
        return cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=period,
            label=label,
        )

    def _generated_rule_name(self) -> str:
        """Return the bare name that CloudFormation gives a rule on any bus but the default one.

        There `Ref`, and with it `rule.rule_name`, is `<bus>|<rule>`: a dimension with that value
        matches nothing. The ARN ends in `rule/<bus>/<rule>`, and a partner bus has slashes in its
        name.
        """
        after_the_bus = 2 + _slashes_in_the_name_of(self.event_bus)
        return Fn.select(after_the_bus, Fn.split("/", self.rule.rule_arn))

    def _event_bus(
        self,
        event_source_name: str | None,
        event_bus: events.IEventBus | None,
        settings: EventSettings,
    ) -> events.IEventBus:
        if event_bus is not None:
            return event_bus
        if event_source_name is not None:
            return events.EventBus(
                self,
                "PartnerEventBus",
                event_source_name=event_source_name,
                log_config=settings.bus_logs,
            )
        Annotations.of(self).add_warning_v2(
            "stripe-settlement:default-event-bus",
            "The rule is on the account's default event bus, where Stripe's partner events never "
            "arrive: EventBridge can associate a partner source only with a bus of the source's "
            "own name. Only a forwarder of yours that calls PutEvents reaches this rule. Create an "
            "Amazon EventBridge destination in Stripe and pass the source's name as "
            f"event_source_name='{PARTNER_SOURCE_PREFIX}ed_…' (`aws events list-event-sources` "
            "shows it). If the forwarder is what you have, pass the default bus as event_bus.",
        )
        return events.EventBus.from_event_bus_name(self, "DefaultEventBus", "default")


def _sources(event_source_name: str | None) -> list[str]:
    if event_source_name is not None:
        return [event_source_name]
    return events.Match.any_of(
        events.Match.exact_string(FORWARDER_SOURCE), events.Match.prefix(PARTNER_SOURCE_PREFIX)
    )


def _check_source(event_source_name: str | None, event_bus: events.IEventBus | None) -> None:
    if event_source_name is not None and event_bus is not None:
        raise ValueError(
            f"event_source_name {event_source_name!r} and event_bus came together; allowed is one. "
            "Pass event_source_name to have the source's bus created, or event_bus if that bus "
            "exists already."
        )
    require_match(
        "event_source_name",
        event_source_name,
        r"aws\.partner/stripe\.com/[A-Za-z0-9_.-]+",
        allowed=f"the name of Stripe's partner event source, '{PARTNER_SOURCE_PREFIX}ed_…'; of an "
        "ARN take what follows 'event-source/'",
    )


def _slashes_in_the_name_of(event_bus: events.IEventBus) -> int:
    source = event_bus.event_source_name
    for name in (source, event_bus.event_bus_name):
        if name is not None and not is_unresolved(name):
            return name.count("/")
    if source is not None:
        return 2  # Stripe's sources: aws.partner/stripe.com/ed_…
    if Resource.is_owned_resource(event_bus):
        return 0  # Only a partner bus may have a slash in its name.
    raise ValueError(
        f"The name of the event bus at {event_bus.node.path} is known only at deployment, so the "
        "rule's name cannot be cut out of its ARN and its alarms would watch nothing. Import the "
        "bus by a literal name, give `event_source_name` with it, or give the rule a name: set "
        "SettlementSettings(resource_prefix=…)."
    )
