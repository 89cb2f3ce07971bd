"""Every alarm of a template can fire, is published, and says what to do.

The scans at the end look at whole templates and know no id: an alarm added tomorrow is scanned too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events

from stripe_settlement import AlarmSettings, SettlementSettings
from stripe_settlement.monitoring.alarms import SettlementAlarms
from tests.infrastructure import runbook
from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template
from tests.infrastructure.physical_names import name_of, resolve
from tests.infrastructure.synthesis import PARTNER_SOURCE, new_app, settle, template_of


@dataclass(frozen=True)
class Alarm:
    """An alarm as CloudWatch will see it."""

    logical_id: str
    properties: Mapping[str, Any]

    @property
    def dimensions(self) -> dict[str, str]:
        return {each["Name"]: each["Value"] for each in self.properties["Dimensions"]}

    @property
    def metric(self) -> str:
        return str(self.properties["MetricName"])

    @property
    def description(self) -> str:
        return str(self.properties["AlarmDescription"])


def alarms_of(template: Mapping[str, Any]) -> list[Alarm]:
    return [
        Alarm(logical_id, resolve(resource["Properties"], template))
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]


def ids_of(template: Mapping[str, Any], resource_type: str) -> list[str]:
    return [id_ for id_, each in template["Resources"].items() if each["Type"] == resource_type]


def watch_everything(
    stack: Stack, *, settings: AlarmSettings | None = None, name_prefix: str | None = None
) -> SettlementAlarms:
    """Return the alarms of a settlement with both routes."""
    return settle(
        stack,
        settings=SettlementSettings(
            alarms=settings or AlarmSettings(), resource_prefix=name_prefix, dashboard=False
        ),
    ).alarms


@pytest.fixture(scope="module")
def watched() -> Mapping[str, Any]:
    stack = Stack(new_app(), "Stack")
    watch_everything(stack)
    return template_of(stack)


def the_alarm(template: Mapping[str, Any], metric: str) -> Alarm:
    return next(alarm for alarm in alarms_of(template) if alarm.metric == metric)


# Which alarms there are, and when they fire.


@pytest.mark.parametrize(
    ("metric", "number"),
    [
        ("Errors", 2),
        ("Throttles", 2),
        ("Duration", 2),
        ("AsyncEventsDropped", 2),
        ("AsyncEventAge", 2),
        ("DestinationDeliveryFailures", 2),
        ("FailedInvocations", 1),
        ("InvocationsSentToDlq", 1),
        ("InvocationsFailedToBeSentToDlq", 1),
        ("ApproximateNumberOfMessagesVisible", 3),
        ("ApproximateAgeOfOldestMessage", 3),
        ("5XXError", 1),
        ("Latency", 1),
        ("PaymentAnomaly", 1),
        ("SettlementRetry", 1),
        ("Unauthenticated", 1),
    ],
)
def test_every_part_is_watched(watched: Mapping[str, Any], metric: str, number: int) -> None:
    assert [alarm.metric for alarm in alarms_of(watched)].count(metric) == number


def test_only_these_alarms_wait_for_more_than_one_occurrence_in_five_minutes(
    watched: Mapping[str, Any],
) -> None:
    first_occurrence = {
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 1,
        "Period": 300,
        "Threshold": 1,
    }
    patient = {
        alarm.metric
        for alarm in alarms_of(watched)
        if not first_occurrence.items() <= alarm.properties.items()
    }
    assert patient == {
        "ApproximateAgeOfOldestMessage",
        "AsyncEventAge",
        "Duration",
        "Latency",
        "SettlementRetry",
    }


@pytest.mark.parametrize(
    ("metric", "statistic", "threshold"),
    [
        ("Duration", {"Statistic": "Maximum"}, 48_000),
        ("AsyncEventAge", {"Statistic": "Maximum"}, 300_000),
        ("ApproximateNumberOfMessagesVisible", {"Statistic": "Maximum"}, 1),
        ("ApproximateAgeOfOldestMessage", {"Statistic": "Maximum"}, 14_400),
        ("Latency", {"ExtendedStatistic": "p99"}, 10_000),
    ],
)
def test_gauge_is_compared_in_its_own_unit(
    watched: Mapping[str, Any], metric: str, statistic: dict[str, str], threshold: float
) -> None:
    properties = the_alarm(watched, metric).properties
    assert statistic.items() <= properties.items()
    assert properties["Threshold"] == threshold


def test_retries_fire_when_they_go_on(watched: Mapping[str, Any]) -> None:
    properties = the_alarm(watched, "SettlementRetry").properties
    assert (properties["EvaluationPeriods"], properties["Threshold"]) == (3, 1)


def test_alarm_stays_while_its_queue_sends_no_data(watched: Mapping[str, Any]) -> None:
    alarm = the_alarm(watched, "ApproximateNumberOfMessagesVisible")
    assert alarm.properties["TreatMissingData"] == "ignore"


def test_every_other_metric_is_fine_when_it_is_missing(watched: Mapping[str, Any]) -> None:
    treated = {
        alarm.properties["TreatMissingData"]
        for alarm in alarms_of(watched)
        if alarm.metric != "ApproximateNumberOfMessagesVisible"
    }
    assert treated == {"notBreaching"}


def test_silence_is_watched_on_request_and_counts_as_a_breach(stack: Stack) -> None:
    watch_everything(stack, settings=AlarmSettings(no_events_for=Duration.hours(6)))
    alarm = the_alarm(template_of(stack), "Invocations")
    assert {
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": 6,
        "Period": 3600,
        "Threshold": 1,
        "TreatMissingData": "breaching",
    }.items() <= alarm.properties.items()


def test_settings_move_the_thresholds(stack: Stack) -> None:
    settings = AlarmSettings(
        period=Duration.minutes(1),
        function_errors=2,
        function_throttles=3,
        timeout_fraction=0.5,
        async_event_age=Duration.minutes(30),
        queue_message_age=Duration.hours(1),
        webhook_server_errors=4,
        webhook_latency=Duration.seconds(3),
        signature_failures=5,
        payment_anomalies=6,
        retry_periods=7,
    )
    watch_everything(stack, settings=settings)
    alarms = alarms_of(template_of(stack))
    thresholds = {alarm.metric: alarm.properties["Threshold"] for alarm in alarms}
    expected = {
        "Errors": 2,
        "Throttles": 3,
        "Duration": 12_500,
        "AsyncEventAge": 1_800_000,
        "ApproximateAgeOfOldestMessage": 3600,
        "5XXError": 4,
        "Latency": 3000,
        "Unauthenticated": 5,
        "PaymentAnomaly": 6,
    }
    assert expected.items() <= thresholds.items()
    assert {alarm.properties["Period"] for alarm in alarms} == {60}
    assert {a.properties["EvaluationPeriods"] for a in alarms if a.metric == "SettlementRetry"} == {
        7
    }


# What an alarm is called, and where it is published.


def test_alarms_have_names_only_under_a_prefix(watched: Mapping[str, Any], stack: Stack) -> None:
    watch_everything(stack, name_prefix="cachao")
    named = [a.properties["AlarmName"] for a in alarms_of(template_of(stack))]
    assert all(name.startswith("cachao-") for name in named)
    assert "cachao-stripe-event-dlq-visible-messages" in named
    assert "cachao-stripe-payment-function-on-failure-queue-oldest-message" in named
    assert len(set(named)) == len(named)
    assert not any("AlarmName" in alarm.properties for alarm in alarms_of(watched))


def test_recovery_is_published_on_request(watched: Mapping[str, Any], stack: Stack) -> None:
    watch_everything(stack, settings=AlarmSettings(notify_on_recovery=True))
    alarms = alarms_of(template_of(stack))
    assert all(each.properties["OKActions"] == each.properties["AlarmActions"] for each in alarms)
    assert not any("OKActions" in alarm.properties for alarm in alarms_of(watched))


def test_service_without_a_webhook_has_no_signatures_to_fail(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(webhook=None))
    metrics = {alarm.metric for alarm in alarms_of(template_of(stack))}
    assert {"PaymentAnomaly", "SettlementRetry"} <= metrics
    assert not {"Unauthenticated", "5XXError", "Latency"} & metrics


def test_description_leads_to_the_runbook_of_the_settings(stack: Stack) -> None:
    settings = AlarmSettings(runbook_url="https://wiki.example/stripe")
    watch_everything(stack, settings=settings)
    alarm = the_alarm(template_of(stack), "PaymentAnomaly")
    assert alarm.description.endswith("Runbook: https://wiki.example/stripe#payment-anomalies")


def test_all_alarms_are_listed(stack: Stack) -> None:
    alarms = watch_everything(stack)
    listed = [alarm.node.id for alarm in alarms.alarms]
    assert listed[0] == "StripeEventBridgeHandlerErrors"
    assert len(listed) == len(alarms_of(template_of(stack)))


# Scans of whole templates


@pytest.fixture(scope="module", params=[*ENVIRONMENTS, "a partner bus", "the default bus"])
def template(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """Our stacks, whose resources have names; and a stranger's, whose are named at deployment."""
    if request.param in ENVIRONMENTS:
        return environment_template(request.param)
    stack = Stack(new_app(), "Shop")
    bus = (
        {"event_source_name": PARTNER_SOURCE}
        if request.param == "a partner bus"
        else {"event_bus": events.EventBus.from_event_bus_name(stack, "Default", "default")}
    )
    alarms = AlarmSettings(no_events_for=Duration.hours(6))
    settle(stack, settings=SettlementSettings(alarms=alarms), **bus)
    return template_of(stack)


def test_every_alarm_has_an_action_that_exists(template: Mapping[str, Any]) -> None:
    topics = [{"Ref": topic} for topic in ids_of(template, "AWS::SNS::Topic")]
    for alarm in ids_of(template, "AWS::CloudWatch::Alarm"):
        properties = template["Resources"][alarm]["Properties"]
        assert properties.get("ActionsEnabled", True), alarm
        assert properties["AlarmActions"], alarm
        assert all(action in topics for action in properties["AlarmActions"]), alarm


def test_every_alarm_looks_at_one_metric_as_it_was_sent(template: Mapping[str, Any]) -> None:
    for alarm in alarms_of(template):
        assert "Metrics" not in alarm.properties, alarm.logical_id


@pytest.mark.parametrize(
    ("dimension", "resource_type"),
    [
        ("FunctionName", "AWS::Lambda::Function"),
        ("QueueName", "AWS::SQS::Queue"),
        ("RuleName", "AWS::Events::Rule"),
    ],
)
def test_every_dimension_holds_the_name_of_a_part(
    template: Mapping[str, Any], dimension: str, resource_type: str
) -> None:
    parts = {name_of(logical_id, template) for logical_id in ids_of(template, resource_type)}
    named = {a.dimensions[dimension] for a in alarms_of(template) if dimension in a.dimensions}
    assert named
    assert named <= parts


def test_every_settlement_alarm_watches_what_the_functions_send(
    template: Mapping[str, Any],
) -> None:
    sent = set()
    for function in ids_of(template, "AWS::Lambda::Function"):
        environment = template["Resources"][function]["Properties"].get("Environment", {})
        variables = resolve(environment.get("Variables", {}), template)
        namespace = variables.get("POWERTOOLS_METRICS_NAMESPACE")
        sent.add((namespace, variables.get("POWERTOOLS_SERVICE_NAME")))
    watched = {
        (alarm.properties["Namespace"], alarm.dimensions["service"])
        for alarm in alarms_of(template)
        if "service" in alarm.dimensions
    }
    assert watched
    assert watched <= sent


def test_every_webhook_alarm_watches_the_stage_stripe_calls(template: Mapping[str, Any]) -> None:
    (api,) = ids_of(template, "AWS::ApiGateway::RestApi")
    (stage,) = ids_of(template, "AWS::ApiGateway::Stage")
    watched = [a for a in alarms_of(template) if a.properties["Namespace"] == "AWS/ApiGateway"]
    assert {alarm.metric for alarm in watched} == {"5XXError", "Latency"}
    for alarm in watched:
        assert alarm.dimensions == {
            "ApiName": name_of(api, template),
            "Stage": name_of(stage, template),
        }


def test_every_rule_alarm_names_the_bus_unless_it_is_the_default_one(
    template: Mapping[str, Any],
) -> None:
    buses: set[str | None] = {
        name_of(bus, template) for bus in ids_of(template, "AWS::Events::EventBus")
    }
    of_rules = [a for a in alarms_of(template) if a.properties["Namespace"] == "AWS/Events"]
    assert of_rules
    for alarm in of_rules:
        assert "RuleName" in alarm.dimensions, alarm.logical_id
        assert {alarm.dimensions.get("EventBusName")} == (buses or {None}), alarm.logical_id


def test_every_alarm_treats_missing_data_on_purpose(template: Mapping[str, Any]) -> None:
    for alarm in alarms_of(template):
        assert alarm.properties.get("TreatMissingData", "missing") != "missing", alarm.logical_id


def test_every_description_has_its_three_parts_and_a_runbook_entry(
    template: Mapping[str, Any],
) -> None:
    three_parts = re.compile(
        r"What happened: \S[^{}]+\.\nAt risk: \S[^{}]+\.\nRunbook: \S+#([a-z0-9-]+)"
    )
    for alarm in alarms_of(template):
        parts = three_parts.fullmatch(alarm.description)
        assert parts, alarm
        assert parts[1] in runbook.entries(), alarm
        assert len(alarm.description) <= 1024, alarm  # The most PutMetricAlarm takes.
