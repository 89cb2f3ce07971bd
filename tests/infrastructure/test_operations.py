"""What the operator's command line reaches the database through, and who may."""

from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam

from stripe_settlement import (
    EventSettings,
    FunctionSettings,
    OnSaleQueueSettings,
    OperationsSettings,
    SettlementSettings,
)
from tests.infrastructure.synthesis import (
    TemplateJson,
    find,
    find_id,
    resources,
    settle,
    statements,
    template_of,
)

FUNCTIONS = {
    "OperationsRead": "operations_read_handler.handler",
    "OperationsResolve": "operations_resolve_handler.handler",
}


def template(stack: Stack, **settings: Any) -> TemplateJson:
    settle(stack, settings=SettlementSettings(**settings))
    return template_of(stack)


def operator(stack: Stack) -> iam.Role:
    return iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_runs_once_at_a_time_and_logs_on_its_own(stack: Stack, name: str) -> None:
    made = template(stack, resource_prefix="shop", operations=OperationsSettings())
    function = find(made, "AWS::Lambda::Function", name)
    assert function["Handler"] == FUNCTIONS[name]
    assert function["ReservedConcurrentExecutions"] == 1
    assert function["LoggingConfig"]["LogGroup"]["Ref"].startswith(f"Settlement{name}LogGroup")
    assert {"Key": "Component", "Value": name} in function["Tags"]
    kebab = {"OperationsRead": "operations-read", "OperationsResolve": "operations-resolve"}[name]
    assert function["FunctionName"] == f"shop-{kebab}"


def test_they_share_the_asset_and_the_secret_with_the_functions_that_settle(stack: Stack) -> None:
    made = template(stack)
    routes = find(made, "AWS::Lambda::Function", "StripeEventBridgeHandler")
    for name in FUNCTIONS:
        function = find(made, "AWS::Lambda::Function", name)
        variables = function["Environment"]["Variables"]
        assert function["Code"] == routes["Code"]
        for variable in ("DB_HOST", "DB_SECRET_ARN", "ORDER_TABLES"):
            assert variables[variable] == routes["Environment"]["Variables"][variable]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_role_reads_the_databases_secret_alone(stack: Stack, name: str) -> None:
    assert set(statements(template(stack), name)) == {
        "WriteLogs",
        "SendTracesToXRay",
        "ReadTheDatabaseSecret",
    }


def test_nothing_else_invokes_them(stack: Stack) -> None:
    made = template(stack)
    for kind in (
        "AWS::Lambda::Permission",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Events::Rule",
    ):
        assert not any("Operations" in str(each) for each in resources(made, kind).values())


def test_nothing_is_reserved_where_the_quota_is_too_small(stack: Stack) -> None:
    made = template(stack, functions=FunctionSettings(reserved_concurrency=None))
    for name in FUNCTIONS:
        function = find(made, "AWS::Lambda::Function", name)
        assert "ReservedConcurrentExecutions" not in function


def test_the_settings_can_leave_them_out(stack: Stack) -> None:
    settlement = settle(stack, settings=SettlementSettings(operations=None))
    role = operator(stack)
    for grant in (settlement.grant_observe, settlement.grant_resolve):
        with pytest.raises(ValueError, match="operations is None"):
            grant(role)
    assert not any("Operations" in each for each in template_of(stack)["Resources"])


def test_who_may_look_invokes_what_reads_and_nothing_else(stack: Stack) -> None:
    role = operator(stack)
    settle(stack).grant_observe(role)
    made = template_of(stack)
    allowed = statements(made, "Operator")
    read = find_id(made, "AWS::Lambda::Function", "OperationsRead")
    actions = {action for each in allowed.values() for action in _list(each["Action"])}
    assert set(allowed) == {
        "AskTheDatabase",
        "CountWhatWaits",
        "LookAtTheStack",
        "ReadTheAlarms",
        "ReadTheApi",
        "ReadTheEventSource",
        "ReadTheFunctionsConfiguration",
        "ReadTheLogs",
        "ReadTheRule",
        "SeeWhoIsNotified",
    }
    assert allowed["AskTheDatabase"]["Action"] == "lambda:InvokeFunction"
    assert allowed["AskTheDatabase"]["Resource"] == {"Fn::GetAtt": [read, "Arn"]}
    verbs = {action.partition(":")[2] for action in actions - {"lambda:InvokeFunction"}}
    assert all(each.startswith(("GET", "Describe", "Filter", "Get", "List")) for each in verbs)


def test_who_may_look_sees_the_on_sale_queue_and_whether_it_is_consumed(stack: Stack) -> None:
    role = operator(stack)
    events = EventSettings(queue=OnSaleQueueSettings())
    settle(stack, settings=SettlementSettings(events=events)).grant_observe(role)
    allowed = statements(template_of(stack), "Operator")
    assert allowed["CountWhatWaitsToBeSettled"]["Action"] == "sqs:GetQueueAttributes"
    assert allowed["SeeWhetherTheQueueIsConsumed"]["Action"] == "lambda:GetEventSourceMapping"


def test_who_may_resolve_invokes_what_resolves_and_nothing_else(stack: Stack) -> None:
    role = operator(stack)
    settle(stack).grant_resolve(role)
    made = template_of(stack)
    allowed = statements(made, "Operator")
    resolve = find_id(made, "AWS::Lambda::Function", "OperationsResolve")
    assert set(allowed) == {"LookAtTheStack", "ResolveAnomalies", "FindTheResolvingFunction"}
    assert allowed["ResolveAnomalies"]["Action"] == "lambda:InvokeFunction"
    assert allowed["ResolveAnomalies"]["Resource"] == {"Fn::GetAtt": [resolve, "Arn"]}


@pytest.mark.parametrize("grant", ["grant_observe", "grant_resolve"])
def test_every_permission_names_its_resource(stack: Stack, grant: str) -> None:
    getattr(settle(stack), grant)(operator(stack))
    for each in statements(template_of(stack), "Operator").values():
        assert each["Resource"] != "*"
        assert not any("*" in action for action in _list(each["Action"]))


def test_a_time_that_no_function_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="timeout is"):
        OperationsSettings(timeout=Duration.minutes(16))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
