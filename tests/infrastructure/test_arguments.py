"""What a team passes to StripeSettlement and AWS would reject, or accept and do harm with."""

import os
import subprocess
import sys
from typing import Any

import pytest
from aws_cdk import Environment, Stack, Tags
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns

from stripe_settlement import (
    AlarmSettings,
    SettlementSettings,
    StripeSettlement,
    WebhookSettings,
)
from tests.infrastructure.synthesis import (
    CDK_JSON,
    PARTNER_SOURCE,
    any_code,
    any_database,
    any_secret,
    find,
    new_app,
    only,
    resources,
    settle,
    template_of,
)

ACCOUNT, REGION = "111122223333", "eu-west-1"


def second_settlement(stack: Stack, **arguments: Any) -> StripeSettlement:
    """One beside that of `settle`, in the same stack."""
    return StripeSettlement(
        stack,
        "Second",
        livemode=False,
        database=any_database(stack, secret=any_secret(stack, "SecondDatabase")),
        stripe_secret=any_secret(stack, "SecondStripe"),
        event_source_name=f"{PARTNER_SOURCE}2",
        code=any_code(),
        **arguments,
    )


@pytest.fixture
def deployed_stack() -> Stack:
    """A stack whose account and region are known."""
    return Stack(new_app(), "Shop", env=Environment(account=ACCOUNT, region=REGION))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stripe_secret": "whsec_1"}, "stripe_secret is of type str; allowed is ISecret or None"),
        ({"database": "db.example.com"}, "database is of type str; allowed is DatabaseConnection"),
        ({"settings": {}}, "settings is of type dict; allowed is SettlementSettings or None"),
        ({"security_groups": "sg-1"}, "security_groups is of type str"),
    ],
)
def test_argument_of_another_type_is_an_error_that_names_both_types(
    stack: Stack, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message) as raised:
        settle(stack, **arguments)

    assert "whsec_1" not in str(raised.value)


def test_fifo_topic_is_an_error_because_alarms_cannot_publish_to_it(stack: Stack) -> None:
    with pytest.raises(ValueError, match="FIFO topic; allowed is a standard one"):
        settle(stack, alarm_topic=sns.Topic(stack, "Topic", fifo=True))


def test_topic_of_another_region_is_an_error(deployed_stack: Stack) -> None:
    arn = f"arn:aws:sns:us-east-1:{ACCOUNT}:ops"
    topic = sns.Topic.from_topic_arn(deployed_stack, "Topic", arn)
    with pytest.raises(ValueError, match=r"us-east-1 and the alarms are in eu-west-1"):
        settle(deployed_stack, alarm_topic=topic)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/shop",
        f"arn:aws:events:{REGION}:444455556666:event-bus/shop",
    ],
)
def test_bus_of_another_account_or_region_is_an_error(deployed_stack: Stack, arn: str) -> None:
    bus = events.EventBus.from_event_bus_arn(deployed_stack, "Bus", arn)
    with pytest.raises(ValueError, match=r"allowed is a bus of the rule's own account and region"):
        settle(deployed_stack, event_bus=bus)


def test_alarm_description_that_cloudwatch_would_reject_is_an_error(stack: Stack) -> None:
    alarms = AlarmSettings(runbook_url=f"https://example.com/{'r' * 1000}")
    with pytest.raises(ValueError, match=r"allowed is 0 to 1024 characters.*runbook_url"):
        settle(stack, settings=SettlementSettings(alarms=alarms))


def test_post_that_the_api_has_already_is_an_error(stack: Stack) -> None:
    api = apigateway.RestApi(stack, "ShopApi")
    api.root.add_resource("webhooks").add_resource("stripe").add_method("POST")
    with pytest.raises(ValueError, match=r"'POST' below '/webhooks/stripe' is taken by Shop/"):
        settle(stack, rest_api=api)


def imported_api(stack: Stack, construct_id: str) -> apigateway.IRestApi:
    return apigateway.RestApi.from_rest_api_attributes(
        stack,
        construct_id,
        rest_api_id="api1",
        root_resource_id="root1",
        rest_api_name="Shop",
    )


def test_api_imported_twice_is_an_error_that_says_to_import_it_once(stack: Stack) -> None:
    settle(stack, rest_api=imported_api(stack, "One"))
    other = imported_api(stack, "Two")
    with pytest.raises(ValueError, match=r"'webhooks' .* import it once"):
        second_settlement(stack, rest_api=other)


def test_api_imported_once_takes_the_webhooks_of_two_settlements(stack: Stack) -> None:
    api = imported_api(stack, "One")
    settle(stack, rest_api=api)
    webhook = WebhookSettings(path="/webhooks/other")
    second_settlement(stack, rest_api=api, settings=SettlementSettings(webhook=webhook))

    paths = resources(template_of(stack), "AWS::ApiGateway::Resource").values()
    assert sorted(each["Properties"]["PathPart"] for each in paths) == [
        "other",
        "stripe",
        "webhooks",
    ]


def test_two_settlements_of_a_stack_share_no_metric(stack: Stack) -> None:
    first, second = settle(stack), second_settlement(stack)

    assert first.service_name != second.service_name
    apis = resources(template_of(stack), "AWS::ApiGateway::RestApi").values()
    assert {each["Properties"]["Name"] for each in apis} == {"Shop-Settlement", "Shop-Second"}


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ({"service_name": "shop"}, {"service_name": "shop"}, "service_name"),
        ({"resource_prefix": "shop"}, {"service_name": "shop"}, "service_name"),
        ({"resource_prefix": "shop"}, {"resource_prefix": "shop"}, "resource_prefix"),
        (
            {"webhook": WebhookSettings(api_name="Shop")},
            {"webhook": WebhookSettings(api_name="Shop")},
            "api_name",
        ),
    ],
)
def test_name_that_two_settlements_of_a_stack_share_is_an_error(
    stack: Stack, one: dict[str, Any], other: dict[str, Any], name: str
) -> None:
    settle(stack, settings=SettlementSettings(**one))
    with pytest.raises(ValueError, match=rf"{name} is .* each needs its own"):
        second_settlement(stack, settings=SettlementSettings(**other))


def test_api_is_named_after_the_prefix(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(resource_prefix="cachao-dev"))

    assert only(template_of(stack), "AWS::ApiGateway::RestApi")["Name"] == "CachaoDevApi"


def test_tags_of_the_app_come_before_ours_and_those_of_the_settings_before_the_apps(
    stack: Stack,
) -> None:
    for key in ("Environment", "Service", "CostCentre"):
        Tags.of(stack).add(key, "the app's")
    settle(stack, settings=SettlementSettings(tags={"CostCentre": "42"}))

    rule = only(template_of(stack), "AWS::Events::Rule")
    tags = {each["Key"]: each["Value"] for each in rule["Tags"]}
    assert tags["Environment"] == tags["Service"] == "the app's"
    assert tags["CostCentre"] == "42"
    assert tags["ManagedBy"] == "aws-cdk"


def any_rds_instance(stack: Stack, vpc: ec2.IVpc) -> rds.DatabaseInstance:
    return rds.DatabaseInstance(
        stack,
        "Database",
        vpc=vpc,
        engine=rds.DatabaseInstanceEngine.maria_db(version=rds.MariaDbEngineVersion.VER_10_11),
    )


def test_database_lets_the_settlement_in_before_the_migrations_run(stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, restrict_default_security_group=False)
    database = any_rds_instance(stack, vpc)
    settlement = settle(
        stack,
        vpc=vpc,
        database=any_database(
            stack,
            host=database.db_instance_endpoint_address,
            port=database.db_instance_endpoint_port,
            secret=database.secret,
        ),
    )
    database.connections.allow_default_port_from(settlement)
    assert settlement.migration is not None
    settlement.migration.run_after(database)

    template = template_of(stack)
    [(rule, ingress)] = resources(template, "AWS::EC2::SecurityGroupIngress").items()
    source = ingress["Properties"]["SourceSecurityGroupId"]
    assert source["Fn::GetAtt"][0].startswith("Settlement")
    [run] = resources(template, "Custom::SchemaMigration").values()
    assert rule in run["DependsOn"]


def test_database_of_another_stack_lets_the_settlement_in_before_the_migrations_run() -> None:
    """The pattern of docs/settings.md: the rule belongs to the settlement's stack."""
    app = new_app()
    data, stack = Stack(app, "Data"), Stack(app, "Shop")
    vpc = ec2.Vpc(data, "Vpc", max_azs=2, restrict_default_security_group=False)
    database = any_rds_instance(data, vpc)
    settlement = settle(
        stack,
        vpc=vpc,
        database=any_database(
            stack,
            host=database.db_instance_endpoint_address,
            port=database.db_instance_endpoint_port,
            secret=database.secret,
        ),
    )
    [group] = database.connections.security_groups
    door = ec2.SecurityGroup.from_security_group_id(stack, "Door", group.security_group_id)
    door.connections.allow_from(settlement, ec2.Port.tcp(3306))
    assert settlement.migration is not None
    settlement.migration.run.node.add_dependency(door)

    app.synth()  # A cycle between the stacks would end here.
    template = template_of(stack)
    [rule] = resources(template, "AWS::EC2::SecurityGroupIngress")
    [run] = resources(template, "Custom::SchemaMigration").values()
    assert rule in run["DependsOn"]
    assert find(template, "AWS::EC2::SecurityGroupIngress", "Door")["FromPort"] == 3306


def test_nothing_of_cdk_is_called_that_it_has_deprecated() -> None:
    """In a process of its own: CDK reads the variable once, when it starts."""
    script = """
from aws_cdk import aws_ec2 as ec2, aws_iam as iam, aws_kms as kms, Stack
from stripe_settlement import AlarmSettings, SettlementSettings, WebhookSettings
from tests.infrastructure.synthesis import new_app, settle, template_of
stack = Stack(new_app(), "Shop")
key = kms.Key(stack, "Key")
settlement = settle(
    stack, queue_key=key, vpc=ec2.Vpc(stack, "Vpc"),
    settings=SettlementSettings(
        resource_prefix="shop", alarms=AlarmSettings(topic_key=key),
        webhook=WebhookSettings(allowed_addresses=("192.0.2.1",), cloud_watch_role=True)))
operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
settlement.grant_redrive(operator)
settlement.grant_invoke(operator)
template_of(stack)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "JSII_DEPRECATED": "fail", "PYTHONPATH": str(CDK_JSON.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-2000:]
