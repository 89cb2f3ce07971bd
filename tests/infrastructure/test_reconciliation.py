"""The third net: with an API key a scheduled function asks Stripe what neither route brought."""

from typing import Any

import pytest
from aws_cdk import Duration, Stack

from stripe_settlement import (
    AlarmSettings,
    FunctionSettings,
    ReconciliationSettings,
    SettlementSettings,
)
from tests.infrastructure.synthesis import (
    TemplateJson,
    any_secret,
    find,
    find_id,
    resources,
    secret_arn,
    settle,
    statements,
    template_of,
)


def with_a_key(stack: Stack, **settings: Any) -> TemplateJson:
    settle(
        stack,
        stripe_api_key_secret=any_secret(stack, "StripeApiKey"),
        settings=SettlementSettings(**settings),
    )
    return template_of(stack)


def ids(template: TemplateJson, resource_type: str) -> list[str]:
    return [each for each in resources(template, resource_type) if "Reconcil" in each]


def test_without_a_key_there_is_none(stack: Stack) -> None:
    settlement = settle(stack)
    template = template_of(stack)
    assert settlement.reconciliation is None
    assert [each for each in template["Resources"] if "Reconcil" in each] == []


def test_the_settings_can_leave_it_out(stack: Stack) -> None:
    template = with_a_key(stack, reconciliation=None)
    assert [each for each in template["Resources"] if "Reconcil" in each] == []


def test_it_runs_every_quarter_of_an_hour_one_run_at_a_time(stack: Stack) -> None:
    template = with_a_key(stack)
    function = find_id(template, "AWS::Lambda::Function", "StripeReconciliation")
    rule = find(template, "AWS::Events::Rule", "Reconciliation")
    properties = template["Resources"][function]["Properties"]
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert rule["State"] == "ENABLED"
    assert rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
    assert properties["ReservedConcurrentExecutions"] == 1
    assert properties["Handler"] == "reconciliation_handler.handler"


def test_nothing_is_reserved_where_the_quota_is_too_small(stack: Stack) -> None:
    template = with_a_key(stack, functions=FunctionSettings(reserved_concurrency=None))
    function = find(template, "AWS::Lambda::Function", "StripeReconciliation")
    assert "ReservedConcurrentExecutions" not in function


def test_a_paused_settlement_does_not_settle_by_reconciliation_either(stack: Stack) -> None:
    template = with_a_key(stack, functions=FunctionSettings(reserved_concurrency=0))
    reserved = {
        part: find(template, "AWS::Lambda::Function", part).get("ReservedConcurrentExecutions")
        for part in ("EventBridgeHandler", "PaymentFunction", "Reconciliation", "OperationsRead")
    }
    assert reserved == {
        "EventBridgeHandler": 0,
        "PaymentFunction": 0,
        "Reconciliation": 0,
        "OperationsRead": 1,
    }


def test_the_function_is_told_the_settings(stack: Stack) -> None:
    net = ReconciliationSettings(
        interval=Duration.minutes(5),
        young_after=Duration.minutes(20),
        overlap=Duration.minutes(1),
        look_back=Duration.days(7),
    )
    template = with_a_key(stack, reconciliation=net)
    function = find(template, "AWS::Lambda::Function", "StripeReconciliation")
    variables = function["Environment"]["Variables"]
    told = {name: value for name, value in variables.items() if name.startswith("RECONCILIATION")}
    assert find(template, "AWS::Events::Rule", "Reconciliation")["ScheduleExpression"] == (
        "rate(5 minutes)"
    )
    assert told == {
        "RECONCILIATION_YOUNG_AFTER_SECONDS": "1200",
        "RECONCILIATION_OVERLAP_SECONDS": "60",
        "RECONCILIATION_LOOK_BACK_SECONDS": "604800",
    }
    assert variables["STRIPE_API_KEY_SECRET_ARN"] == secret_arn("StripeApiKey")


def test_its_role_reads_two_secrets_and_writes_its_own_log(stack: Stack) -> None:
    assert set(statements(with_a_key(stack), "StripeReconciliation")) == {
        "WriteLogs",
        "SendTracesToXRay",
        "ReadTheDatabaseSecret",
        "ReadTheStripeApiKey",
    }


def test_a_failed_run_is_left_to_the_next_one(stack: Stack) -> None:
    invocation = find(with_a_key(stack), "AWS::Lambda::EventInvokeConfig", "Reconciliation")
    assert invocation["MaximumRetryAttempts"] == 0


def test_it_waits_for_the_migration(stack: Stack) -> None:
    template = with_a_key(stack)
    migration = find_id(template, "Custom::SchemaMigration", "")
    for kind in ("AWS::Lambda::Function", "AWS::Events::Rule"):
        [logical_id] = ids(template, kind)
        assert migration in template["Resources"][logical_id]["DependsOn"]


def test_there_is_an_alarm_for_each_way_it_can_say_that_something_is_wrong(stack: Stack) -> None:
    template = with_a_key(stack)
    alarms = {
        each["MetricName"]: each
        for each in (
            template["Resources"][id_]["Properties"]
            for id_ in ids(template, "AWS::CloudWatch::Alarm")
        )
    }
    assert {(name, each["Threshold"]) for name, each in alarms.items()} == {
        ("Errors", 1),
        ("Reconciled", 1),
        ("ReconciliationLag", 3600),
    }
    assert alarms["ReconciliationLag"]["Period"] == 3600
    assert alarms["ReconciliationLag"]["TreatMissingData"] == "breaching"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval": Duration.seconds(90)}, "whole minutes"),
        ({"interval": Duration.seconds(30)}, "interval is 30 seconds; allowed is 60 to"),
        ({"look_back": Duration.days(31)}, "look_back is"),
        ({"timeout": Duration.minutes(16)}, "timeout is"),
    ],
)
def test_a_value_that_would_be_rejected_is_an_error(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReconciliationSettings(**changes)


def test_an_alarm_that_would_fire_when_all_is_well_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"reconciliation_lag is 25 minutes; allowed is more than"):
        SettlementSettings(alarms=AlarmSettings(reconciliation_lag=Duration.minutes(25)))
