"""The metrics exist: CloudWatch keeps them under exactly these names and dimensions."""

from collections.abc import Callable

import pytest
from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events

from settlement.adapters.telemetry import OUTCOME_METRICS
from settlement.domain.outcomes import AnomalyKind
from stripe_settlement.monitoring.metrics import (
    ANOMALY_KINDS,
    OUTCOMES,
    SettlementMetric,
    SettlementMetrics,
)
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.webhook import WebhookRoute
from stripe_settlement.settings import WebhookSettings
from tests.infrastructure.physical_names import resolve
from tests.infrastructure.synthesis import PARTNER_SOURCE, any_function, template_of

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


def route_on(stack: Stack, bus: events.IEventBus, *, prefix: str | None = None) -> EventRoute:
    return EventRoute(
        stack,
        "EventRoute",
        handler=any_function(stack),
        livemode=False,
        event_bus=bus,
        name_prefix=prefix,
    )


def dimensions_of(metric: cloudwatch.Metric, stack: Stack) -> dict[str, str]:
    """The dimensions as CloudWatch will see them."""
    metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)
    template = template_of(stack)
    (alarm,) = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )
    return {each["Name"]: resolve(each["Value"], template) for each in alarm["Dimensions"]}


def test_rule_on_the_default_bus_is_named_alone(stack: Stack) -> None:
    bus = events.EventBus.from_event_bus_name(stack, "Bus", "default")
    metric = route_on(stack, bus, prefix="shop").metric("FailedInvocations")
    assert dimensions_of(metric, stack) == {"RuleName": "shop-stripe-events"}


@pytest.mark.parametrize("prefix", [None, "shop"])
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
    stack: Stack, make_bus: MakeBus, bus_name: str, prefix: str | None
) -> None:
    metric = route_on(stack, make_bus(stack), prefix=prefix).metric("FailedInvocations")
    assert dimensions_of(metric, stack) == {
        "EventBusName": bus_name,
        "RuleName": "shop-stripe-events" if prefix else "name-of-EventRouteRule91E5D76E",
    }


def test_rule_whose_name_is_known_only_at_deployment_is_an_error(stack: Stack) -> None:
    route = route_on(stack, bus_imported_by_parameter(stack))
    with pytest.raises(ValueError, match=r"known only at deployment.*give the rule a name"):
        route.metric("FailedInvocations")


def test_settlement_metric_has_the_service_as_its_only_dimension(stack: Stack) -> None:
    metrics = SettlementMetrics(namespace="Tickets", service="payments")
    metric = metrics.metric(SettlementMetric.SETTLED)
    assert (metric.namespace, metric.metric_name) == ("Tickets", "Settled")
    assert dimensions_of(metric, stack) == {"service": "payments"}


def test_webhook_metric_is_of_one_stage(stack: Stack) -> None:
    settings = WebhookSettings(api_name="CachaoApi", access_logs=None)
    route = WebhookRoute(stack, "WebhookRoute", handler=any_function(stack), settings=settings)
    assert dimensions_of(route.metric("5XXError"), stack) == {
        "ApiName": "CachaoApi",
        "Stage": "Prod",
    }


def test_outcomes_are_those_the_functions_count() -> None:
    assert sorted(OUTCOMES) == sorted(OUTCOME_METRICS.values())


def test_anomaly_kinds_are_those_the_functions_count() -> None:
    counted = {f"Anomaly{kind.value.title().replace('_', '')}" for kind in AnomalyKind}
    assert set(ANOMALY_KINDS) == counted
