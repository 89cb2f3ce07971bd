"""The metrics exist: CloudWatch keeps them under exactly these names and dimensions."""

from collections.abc import Callable

import pytest
from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk.assertions import Template

from settlement.adapters.telemetry import OUTCOME_METRICS
from settlement.domain.outcomes import AnomalyKind
from stripe_settlement.monitoring.metrics import (
    ANOMALY_KINDS,
    OUTCOMES,
    SettlementMetric,
    api_metric,
    rule_metric,
    settlement_metric,
)
from tests.infrastructure.physical_names import resolve
from tests.infrastructure.synthesis import PARTNER_SOURCE

MakeBus = Callable[[Stack], events.IEventBus]


def new_partner_bus(stack: Stack) -> events.IEventBus:
    return events.EventBus(stack, "Bus", event_source_name=PARTNER_SOURCE)


def partner_bus_of_a_parameter(stack: Stack) -> events.IEventBus:
    source = CfnParameter(stack, "Source", default=PARTNER_SOURCE)
    return events.EventBus(stack, "Bus", event_source_name=source.value_as_string)


def new_custom_bus(stack: Stack) -> events.IEventBus:
    return events.EventBus(stack, "Bus", event_bus_name="payments")


def imported_partner_bus(stack: Stack) -> events.IEventBus:
    return events.EventBus.from_event_bus_name(stack, "Bus", PARTNER_SOURCE)


def imported_partner_bus_by_arn(stack: Stack) -> events.IEventBus:
    arn = f"arn:aws:events:eu-central-1:111122223333:event-bus/{PARTNER_SOURCE}"
    return events.EventBus.from_event_bus_arn(stack, "Bus", arn)


def imported_custom_bus(stack: Stack) -> events.IEventBus:
    return events.EventBus.from_event_bus_name(stack, "Bus", "payments")


def bus_imported_by_parameter(stack: Stack) -> events.IEventBus:
    name = CfnParameter(stack, "BusName").value_as_string
    return events.EventBus.from_event_bus_name(stack, "Bus", name)


def rule_on(
    stack: Stack, bus: events.IEventBus | None = None, *, name: str | None = None
) -> events.Rule:
    pattern = events.EventPattern(source=["stripe.com"])
    return events.Rule(stack, "Rule", event_bus=bus, event_pattern=pattern, rule_name=name)


def dimensions_of(metric: cloudwatch.Metric, stack: Stack) -> dict[str, str]:
    """The dimensions as CloudWatch will see them."""
    metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)
    template = Template.from_stack(stack).to_json()
    (alarm,) = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )
    return {each["Name"]: resolve(each["Value"], template) for each in alarm["Dimensions"]}


def test_rule_on_the_default_bus_is_named_alone(stack: Stack) -> None:
    rule = rule_on(stack, name="stripe-events")
    bus = events.EventBus.from_event_bus_name(stack, "Bus", "default")
    metric = rule_metric("FailedInvocations", rule=rule, event_bus=bus, uses_default_bus=True)
    assert dimensions_of(metric, stack) == {"RuleName": "stripe-events"}


@pytest.mark.parametrize("rule_name", [None, "stripe-events"])
@pytest.mark.parametrize(
    ("make_bus", "bus_name"),
    [
        (new_partner_bus, PARTNER_SOURCE),
        (partner_bus_of_a_parameter, PARTNER_SOURCE),
        (imported_partner_bus, PARTNER_SOURCE),
        (imported_partner_bus_by_arn, PARTNER_SOURCE),
        (imported_custom_bus, "payments"),
        (new_custom_bus, "payments"),
    ],
)
def test_rule_on_another_bus_is_named_with_its_bus(
    stack: Stack, make_bus: MakeBus, bus_name: str, rule_name: str | None
) -> None:
    bus = make_bus(stack)
    rule = rule_on(stack, bus, name=rule_name)
    metric = rule_metric("FailedInvocations", rule=rule, event_bus=bus, uses_default_bus=False)
    assert dimensions_of(metric, stack) == {
        "EventBusName": bus_name,
        "RuleName": rule_name or "name-of-Rule4C995B7F",
    }


def test_imported_rule_on_another_bus_is_named_without_its_bus(stack: Stack) -> None:
    arn = f"arn:aws:events:eu-central-1:111122223333:rule/{PARTNER_SOURCE}/stripe-events"
    rule = events.Rule.from_event_rule_arn(stack, "Rule", arn)
    metric = rule_metric(
        "Invocations", rule=rule, event_bus=imported_partner_bus(stack), uses_default_bus=False
    )
    assert dimensions_of(metric, stack)["RuleName"] == "stripe-events"


def test_rule_whose_name_nobody_can_tell_is_refused(stack: Stack) -> None:
    bus = bus_imported_by_parameter(stack)
    with pytest.raises(ValueError, match=r"known only at deployment.*give the rule a name"):
        rule_metric(
            "FailedInvocations", rule=rule_on(stack, bus), event_bus=bus, uses_default_bus=False
        )


def test_settlement_metric_has_the_service_as_its_only_dimension(stack: Stack) -> None:
    metric = settlement_metric(SettlementMetric.SETTLED, namespace="Tickets", service="payments")
    assert (metric.namespace, metric.metric_name) == ("Tickets", "Settled")
    assert dimensions_of(metric, stack) == {"service": "payments"}


def test_api_metric_is_of_one_stage(stack: Stack) -> None:
    metric = api_metric("5XXError", api_name="CachaoApi", stage_name="Prod")
    assert dimensions_of(metric, stack) == {"ApiName": "CachaoApi", "Stage": "Prod"}


def test_outcomes_are_those_the_functions_count() -> None:
    assert sorted(OUTCOMES) == sorted(OUTCOME_METRICS.values())


def test_anomaly_kinds_are_those_the_functions_count() -> None:
    counted = {f"Anomaly{kind.value.title().replace('_', '')}" for kind in AnomalyKind}
    assert set(ANOMALY_KINDS) == counted
