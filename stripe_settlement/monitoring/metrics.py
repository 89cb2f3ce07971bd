"""Every CloudWatch metric the alarms and the dashboard look at, with the dimensions it really has.

A metric asked for with the wrong dimensions is not an error: it has no data, and an alarm on it
never rings. So the dimensions stand in one file.
"""

from enum import StrEnum

from aws_cdk import Duration, Fn, Resource, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events

FIVE_MINUTES = Duration.minutes(5)


class SettlementMetric(StrEnum):
    """What the functions count and measure themselves, through the embedded metric format."""

    SETTLED = "Settled"
    DUPLICATE = "Duplicate"
    AWAITING_PAYMENT = "AwaitingPayment"
    IGNORED = "Ignored"
    PAYMENT_ANOMALY = "PaymentAnomaly"
    UNAUTHENTICATED = "Unauthenticated"
    SETTLEMENT_RETRY = "SettlementRetry"
    ANOMALY_AMOUNT_MISMATCH = "AnomalyAmountMismatch"
    ANOMALY_CURRENCY_MISMATCH = "AnomalyCurrencyMismatch"
    ANOMALY_SECOND_PAYMENT = "AnomalySecondPayment"
    ANOMALY_LATE_PAYMENT = "AnomalyLatePayment"
    ANOMALY_PAYMENT_REUSED = "AnomalyPaymentReused"
    ANOMALY_UNKNOWN_ORDER = "AnomalyUnknownOrder"
    ANOMALY_MALFORMED_ORDER_ID = "AnomalyMalformedOrderId"
    ANOMALY_MALFORMED_SESSION = "AnomalyMalformedSession"
    ANOMALY_THIN_EVENT = "AnomalyThinEvent"
    SETTLEMENT_LAG = "SettlementLag"
    """Milliseconds from Stripe's `created` to the commit."""
    SETTLEMENT_DURATION = "SettlementDuration"
    """Milliseconds the handler itself took."""


OUTCOMES = (
    SettlementMetric.SETTLED,
    SettlementMetric.DUPLICATE,
    SettlementMetric.AWAITING_PAYMENT,
    SettlementMetric.IGNORED,
    SettlementMetric.PAYMENT_ANOMALY,
    SettlementMetric.UNAUTHENTICATED,
    SettlementMetric.SETTLEMENT_RETRY,
)
"""One of these is counted for each delivery."""

ANOMALY_KINDS = tuple(metric for metric in SettlementMetric if metric.startswith("Anomaly"))
"""One of these is counted beside each `PaymentAnomaly`."""


def settlement_metric(
    name: str,
    *,
    namespace: str,
    service: str,
    statistic: str = cloudwatch.Stats.SUM,
    period: Duration = FIVE_MINUTES,
    label: str | None = None,
) -> cloudwatch.Metric:
    """A metric of the functions' own (see `SettlementMetric`).

    Args:
        name: the metric's name, usually a `SettlementMetric`.
        namespace: what the functions have in `POWERTOOLS_METRICS_NAMESPACE`.
        service: what they have in `POWERTOOLS_SERVICE_NAME`, the only dimension Powertools adds.
        statistic: as CloudWatch writes it, `Sum` or `p99`.
        period: length of one data point.
        label: what a graph calls it. Not for an alarm: with a label the CDK writes the metric in
            the form of a query, in which tools that look for `Dimensions` find none.
    """
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=str(name),
        dimensions_map={"service": service},
        statistic=statistic,
        period=period,
        label=label,
    )


def rule_metric(
    name: str,
    *,
    rule: events.IRule,
    event_bus: events.IEventBus,
    uses_default_bus: bool,
    statistic: str = cloudwatch.Stats.SUM,
    period: Duration = FIVE_MINUTES,
    label: str | None = None,
) -> cloudwatch.Metric:
    """A metric of one EventBridge rule; the CDK has no helper for them.

    On the default bus a rule's metrics carry `RuleName` alone, on any other bus `EventBusName` and
    `RuleName` (EventBridge User Guide, "Monitoring Amazon EventBridge").

    Raises:
        ValueError: the rule's name cannot be told at synthesis (see `_name_on_another_bus`).
    """
    dimensions = (
        {"RuleName": rule.rule_name}
        if uses_default_bus
        else {
            "EventBusName": event_bus.event_bus_name,
            "RuleName": _name_on_another_bus(rule, event_bus),
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


def api_metric(
    name: str,
    *,
    api_name: str,
    stage_name: str,
    statistic: str = cloudwatch.Stats.SUM,
    period: Duration = FIVE_MINUTES,
    label: str | None = None,
) -> cloudwatch.Metric:
    """A metric of one stage of a REST API, an imported one too (`IRestApi` has no metric methods).

    Without the `Stage` dimension CloudWatch adds up every stage of the API.
    """
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=name,
        dimensions_map={"ApiName": api_name, "Stage": stage_name},
        statistic=statistic,
        period=period,
        label=label,
    )


def _name_on_another_bus(rule: events.IRule, event_bus: events.IEventBus) -> str:
    """The bare name of a rule that is not on the default bus.

    There `Ref`, and with it `rule.rule_name`, is `<bus>|<rule>`: a dimension with that value
    matches nothing. The ARN ends in `rule/<bus>/<rule>`, and a partner bus has slashes in its name.
    """
    resource = rule.node.default_child
    if (
        isinstance(resource, events.CfnRule)
        and resource.name is not None
        and not Token.is_unresolved(resource.name)
    ):
        return resource.name
    after_the_bus = 2 + _slashes_in_the_name_of(event_bus)
    return Fn.select(after_the_bus, Fn.split("/", rule.rule_arn))


def _slashes_in_the_name_of(event_bus: events.IEventBus) -> int:
    source = event_bus.event_source_name
    for name in (source, event_bus.event_bus_name):
        if name is not None and not Token.is_unresolved(name):
            return name.count("/")
    if source is not None:
        return 2  # Stripe's sources: aws.partner/stripe.com/ed_…
    if Resource.is_owned_resource(event_bus):
        return 0  # Only a partner bus may have a slash in its name.
    raise ValueError(
        f"The name of the event bus at {event_bus.node.path} is known only at deployment, so the "
        "rule's name cannot be cut out of its ARN and its alarms would watch nothing. Import the "
        "bus by a literal name, give `event_source_name` with it, or give the rule a name."
    )
