"""SchemaMigration: the tables are there before anything needs them, or the deployment fails."""

from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_logs import RetentionDays

from stripe_settlement import (
    DatabaseConnection,
    FunctionSettings,
    LogSettings,
    MigrationSettings,
    SettlementSettings,
)
from stripe_settlement.functions.schema_migration import SchemaMigration
from tests.infrastructure.synthesis import (
    any_code,
    any_database,
    find,
    find_id,
    only,
    resources,
    secret_arn,
    settle,
    statements,
    template_of,
)


def migration(
    stack: Stack, *, database: DatabaseConnection | None = None, **arguments: Any
) -> SchemaMigration:
    return SchemaMigration(
        stack,
        "SchemaMigration",
        code=any_code(),
        database=database or any_database(stack),
        **arguments,
    )


def dependencies(template: Any, kind: str, part: str) -> list[str]:
    found: list[str] = template["Resources"][find_id(template, kind, part)].get("DependsOn", [])
    return found


def test_the_migration_runs_whenever_its_code_or_its_settings_change(stack: Stack) -> None:
    migration(stack)

    template = template_of(stack)
    version = find_id(template, "AWS::Lambda::Version", "SchemaMigration")
    assert only(template, "Custom::SchemaMigration")["FunctionVersion"] == {
        "Fn::GetAtt": [version, "Version"]
    }


def test_the_migration_runs_again_when_a_parameter_alone_names_another_database(
    stack: Stack,
) -> None:
    """The template stays as it is, and so does the version: only the resolved value differs."""
    name = CfnParameter(stack, "DbName").value_as_string
    migration(stack, database=any_database(stack, name=name))

    template = template_of(stack)
    environment = only(template, "Custom::SchemaMigration")["Environment"]
    function = find(template, "AWS::Lambda::Function", "SchemaMigrationFunction")
    assert environment["DB_NAME"] == {"Ref": "DbName"}
    assert environment.items() <= function["Environment"]["Variables"].items()
    assert {"DB_HOST", "DB_PORT", "DB_SECRET_ARN"} <= set(environment)


def test_what_runs_is_the_function_as_it_stands_not_a_version_of_it(stack: Stack) -> None:
    """A version keeps the variables it was published with."""
    migration(stack)

    template = template_of(stack)
    function = find_id(template, "AWS::Lambda::Function", "SchemaMigrationFunction")
    provider = find(template, "AWS::Lambda::Function", "SchemaMigrationProvider")
    assert provider["Environment"]["Variables"]["USER_ON_EVENT_FUNCTION_ARN"] == {
        "Fn::GetAtt": [function, "Arn"]
    }


def test_the_provider_may_run_the_migration_and_nothing_else(stack: Stack) -> None:
    migration(stack)

    template = template_of(stack)
    function = find_id(template, "AWS::Lambda::Function", "SchemaMigrationFunction")
    found = statements(template, "SchemaMigrationProviderRole")
    assert set(found) == {"WriteLogs", "RunTheSchemaMigration"}
    assert found["RunTheSchemaMigration"]["Resource"] == {"Fn::GetAtt": [function, "Arn"]}


def test_the_migration_may_have_credentials_of_its_own(stack: Stack) -> None:
    secret = secretsmanager.Secret.from_secret_complete_arn(stack, "Ddl", secret_arn("Ddl"))
    settle(stack, settings=SettlementSettings(migration=MigrationSettings(secret=secret)))

    template = template_of(stack)
    found = statements(template, "SchemaMigrationRole")
    assert found["ReadTheMigrationSecret"]["Resource"] == secret_arn("Ddl")
    readers = [
        logical_id
        for logical_id, each in resources(template, "AWS::Lambda::Function").items()
        if secret_arn("Ddl") in str(each["Properties"])
    ]
    assert readers == [find_id(template, "AWS::Lambda::Function", "SchemaMigrationFunction")]


def test_the_deployment_waits_longer_than_the_migration_may_take(stack: Stack) -> None:
    migration(stack, settings=MigrationSettings(timeout=Duration.minutes(2)))

    template = template_of(stack)
    function = find(template, "AWS::Lambda::Function", "SchemaMigrationFunction")
    assert only(template, "Custom::SchemaMigration")["ServiceTimeout"] == "150"
    assert function["Timeout"] == 120


def test_the_migration_runs_the_migration_handler_without_reserving_concurrency(
    stack: Stack,
) -> None:
    migration(stack)

    function = find(template_of(stack), "AWS::Lambda::Function", "SchemaMigrationFunction")
    assert function["Handler"] == "migration_handler.handler"
    assert "ReservedConcurrentExecutions" not in function


def test_the_migration_may_read_the_databases_secret_and_no_other(stack: Stack) -> None:
    migration(stack)

    found = statements(template_of(stack), "SchemaMigrationRole")
    assert set(found) == {"WriteLogs", "SendTracesToXRay", "ReadTheDatabaseSecret"}
    assert found["ReadTheDatabaseSecret"]["Resource"] == secret_arn("DatabaseCredentials")


def test_logs_of_the_provider_expire_and_stay_as_the_migrations_own_do(stack: Stack) -> None:
    logs = LogSettings(retention=RetentionDays.ONE_DAY, removal_policy=RemovalPolicy.DESTROY)
    migration(stack, function_settings=FunctionSettings(logs=logs))

    template = template_of(stack)
    group_id = find_id(template, "AWS::Logs::LogGroup", "SchemaMigrationProvider")
    group = template["Resources"][group_id]
    provider = find(template, "AWS::Lambda::Function", "SchemaMigrationProvider")
    assert provider["LoggingConfig"]["LogGroup"] == {"Ref": group_id}
    assert group["Properties"]["RetentionInDays"] == 1
    assert group["DeletionPolicy"] == "Delete"


def test_the_migration_runs_before_what_waits_for_it(stack: Stack) -> None:
    later = sqs.Queue(stack, "Later")
    migration(stack).run_before(later)

    template = template_of(stack)
    [trigger] = resources(template, "Custom::SchemaMigration")
    assert trigger in dependencies(template, "AWS::SQS::Queue", "Later")


def test_the_migration_runs_after_what_it_waits_for(stack: Stack) -> None:
    sooner = sqs.Queue(stack, "Sooner")
    migration(stack).run_after(sooner)

    template = template_of(stack)
    assert find_id(template, "AWS::SQS::Queue", "Sooner") in dependencies(
        template, "Custom::SchemaMigration", "Run"
    )


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("AWS::Events::Rule", "EventRoute"),
        ("AWS::ApiGateway::Method", "WebhookRoute"),
        ("AWS::Lambda::Function", "StripeEventBridgeHandler"),
        ("AWS::Lambda::Function", "StripePaymentFunction"),
    ],
)
def test_the_routes_go_live_only_after_the_migrations_have_succeeded(
    stack: Stack, kind: str, part: str
) -> None:
    settle(stack)

    template = template_of(stack)
    assert find_id(template, "Custom::SchemaMigration", "Run") in dependencies(template, kind, part)


def test_the_webhook_is_deployed_after_its_method(stack: Stack) -> None:
    settle(stack)

    template = template_of(stack)
    assert find_id(template, "AWS::ApiGateway::Method", "Post") in dependencies(
        template, "AWS::ApiGateway::Deployment", "WebhookRoute"
    )


def test_the_settlement_shares_its_asset_and_its_network_with_the_migration(stack: Stack) -> None:
    settle(stack)

    functions = [
        each["Properties"]
        for logical_id, each in resources(template_of(stack), "AWS::Lambda::Function").items()
        if logical_id.startswith("Settlement") and "Provider" not in logical_id
    ]
    assert len(functions) == 5
    assert all(each["Code"] == functions[0]["Code"] for each in functions)


def test_the_settlement_can_leave_the_migration_out(stack: Stack) -> None:
    construct = settle(stack, settings=SettlementSettings(migration=None))

    assert construct.migration is None
    assert resources(template_of(stack), "Custom::SchemaMigration") == {}


def test_the_permissions_boundary_covers_the_role_that_cdk_makes_for_the_trigger(
    stack: Stack,
) -> None:
    boundary = iam.ManagedPolicy.from_managed_policy_name(stack, "Boundary", "boundary")
    settle(stack, permissions_boundary=boundary)

    roles = resources(template_of(stack), "AWS::IAM::Role")
    assert len(roles) == 6
    assert all("PermissionsBoundary" in each["Properties"] for each in roles.values())
