"""A scan of every policy: what is allowed to whom, on what. It knows no ids."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager

from stripe_settlement import EventSettings, OnSaleQueueSettings, SettlementSettings
from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template
from tests.infrastructure.synthesis import (
    TemplateJson,
    any_database,
    any_secret,
    new_app,
    resources,
    secret_arn,
    settle,
    statements,
    template_of,
)

STARS_WITH_A_REASON = {
    "SendTracesToXRay": "X-Ray's actions know no resources",
    "ManageNetworkInterfaces": "the network interfaces do not exist yet",
    "DenyEc2FromFunctionCode": "a denial",
    "WaitForStripesEventSource": "Stripe chooses the name of its event source",
}


def everything_brought_in() -> TemplateJson:
    stack = Stack(new_app(), "Shop")
    key = kms.Key(stack, "Key")
    secret = secretsmanager.Secret.from_secret_attributes(
        stack, "Secret", secret_complete_arn=secret_arn("Secret"), encryption_key=key
    )
    settle(
        stack,
        vpc=ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False),
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        queue_key=key,
        settings=SettlementSettings(events=EventSettings(queue=OnSaleQueueSettings())),
        database=any_database(stack, secret=secret),
        stripe_secret=secret,
    )
    return template_of(stack)


def stripes_side_created() -> TemplateJson:
    stack = Stack(new_app(), "Shop")
    settle(stack, stripe_api_key_secret=any_secret(stack, "StripeApiKey"))
    return template_of(stack)


TEMPLATES: dict[str, Callable[[], TemplateJson]] = {
    **{name: partial(environment_template, name) for name in ENVIRONMENTS},
    "everything brought in": everything_brought_in,
    "stripe's side created": stripes_side_created,
}


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest) -> TemplateJson:
    return TEMPLATES[request.param]()


def allowances(template: TemplateJson) -> Iterator[tuple[str, Any]]:
    for logical_id, policy in resources(template, "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield logical_id, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_statement_reads_as_a_sentence(template: TemplateJson) -> None:
    for logical_id, statement in allowances(template):
        assert statement.get("Sid", "").isalnum(), (logical_id, statement)


def test_no_action_is_a_wildcard(template: TemplateJson) -> None:
    for logical_id, statement in allowances(template):
        for action in as_list(statement["Action"]):
            assert "*" not in action, (logical_id, action)


def test_no_resource_is_a_wildcard_without_a_stated_reason(template: TemplateJson) -> None:
    for logical_id, statement in allowances(template):
        if statement["Sid"] not in STARS_WITH_A_REASON:
            assert "*" not in str(statement["Resource"]), (logical_id, statement)


def test_no_role_has_a_managed_policy(template: TemplateJson) -> None:
    for logical_id, role in resources(template, "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role["Properties"], logical_id


def test_every_function_has_a_role_of_its_own(template: TemplateJson) -> None:
    roles = [
        str(function["Properties"]["Role"])
        for function in resources(template, "AWS::Lambda::Function").values()
    ]
    assert len(set(roles)) == len(roles)


def test_every_invocation_is_allowed_to_one_source(template: TemplateJson) -> None:
    for logical_id, permission in resources(template, "AWS::Lambda::Permission").items():
        source = permission["Properties"]["SourceArn"]
        assert "*" not in str(source), logical_id


def test_secrets_are_read_and_the_stacks_signing_secret_alone_is_written(
    template: TemplateJson,
) -> None:
    for _, statement in allowances(template):
        actions = [
            each for each in as_list(statement["Action"]) if each.startswith("secretsmanager:")
        ]
        if statement["Sid"] == "WriteTheSigningSecret":
            assert actions == ["secretsmanager:PutSecretValue"]
            assert "SigningSecret" in statement["Resource"]["Ref"]
        else:
            assert actions in ([], ["secretsmanager:GetSecretValue"])


@pytest.mark.parametrize(
    ("role", "secrets"),
    [
        ("StripeEventBridgeHandler", {"ReadTheDatabaseSecret"}),
        ("SchemaMigration", {"ReadTheDatabaseSecret"}),
        ("OperationsRead", {"ReadTheDatabaseSecret"}),
        ("OperationsResolve", {"ReadTheDatabaseSecret"}),
        ("StripePaymentFunction", {"ReadTheDatabaseSecret", "ReadTheStripeSecret"}),
    ],
)
def test_a_function_reads_the_secrets_it_needs_and_no_other(
    template: TemplateJson, role: str, secrets: set[str]
) -> None:
    assert {sid for sid in statements(template, role) if sid.startswith("ReadThe")} == secrets


def test_a_secret_imported_by_name_is_the_only_one_matched(stack: Stack) -> None:
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "shop/database")
    settle(stack, database=any_database(stack, secret=secret))

    statement = statements(template_of(stack), "StripeEventBridgeHandler")["ReadTheDatabaseSecret"]
    *_, end = statement["Resource"]["Fn::Join"][1]
    assert end.endswith(":secret:shop/database-??????")


def test_a_secrets_key_is_used_through_secrets_manager_alone(stack: Stack) -> None:
    secret = secretsmanager.Secret.from_secret_attributes(
        stack,
        "Secret",
        secret_complete_arn=secret_arn("Secret"),
        encryption_key=kms.Key(stack, "Key"),
    )
    settle(stack, database=any_database(stack, secret=secret))

    statement = statements(template_of(stack), "SchemaMigration")["DecryptTheDatabaseSecret"]
    assert statement["Action"] == "kms:Decrypt"
    assert "secretsmanager." in str(statement["Condition"]["StringEquals"]["kms:ViaService"])
