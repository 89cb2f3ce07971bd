"""Building the constructs under test, and reading the templates they become."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template

from stacks.environments import read_environment
from stacks.payments_stack import PaymentsStack
from stripe_settlement import DatabaseConnection, StripeSettlement

CDK_JSON = Path(__file__).parents[2] / "cdk.json"
PARTNER_SOURCE = "aws.partner/stripe.com/ed_test_61"

TemplateJson = Mapping[str, Any]
Resource = Mapping[str, Any]


def cdk_context() -> dict[str, Any]:
    """The context the CLI takes from cdk.json."""
    context: dict[str, Any] = json.loads(CDK_JSON.read_text())["context"]
    return context


def new_app(context: Mapping[str, Any] | None = None) -> App:
    """An app that bundles nothing; with the feature flags of cdk.json by default."""
    return App(
        context={
            **(cdk_context() if context is None else context),
            "aws:cdk:bundling-stacks": [],
        },
        analytics_reporting=False,
        builtin_cloud_formation_validation=False,
        tree_metadata=False,
    )


def payments_stack(environment: str, **overrides: object) -> PaymentsStack:
    """Our own stack as `cdk synth -c environment=…` builds it, with changes to its context."""
    environments = cdk_context()["environments"]
    environments[environment].update(overrides)
    return PaymentsStack(
        new_app(),
        f"cachao-payments-{environment}",
        environment=read_environment(environment, environments),
    )


def any_code() -> lambda_.Code:
    """Code for a test that asks nothing of the asset."""
    return lambda_.Code.from_inline("def handler(event, context): ...")


def any_function(stack: Stack) -> lambda_.Function:
    """A function for a test that asks nothing of it."""
    return lambda_.Function(
        stack,
        "Handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=any_code(),
    )


def any_secret(stack: Stack, construct_id: str = "AnySecret") -> secretsmanager.ISecret:
    """An existing secret with a complete ARN."""
    return secretsmanager.Secret.from_secret_complete_arn(
        stack, construct_id, secret_arn(construct_id)
    )


def secret_arn(name: str) -> str:
    """A complete ARN, with the six characters Secrets Manager adds."""
    return f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-a1B2c3"


def any_database(stack: Stack, **changes: Any) -> DatabaseConnection:
    """A connection for a test that asks nothing of it."""
    values: dict[str, Any] = {"host": "db.example.com", "name": "shop", **changes}
    if "secret" not in values:
        values["secret"] = any_secret(stack, "DatabaseCredentials")
    return DatabaseConnection(**values)


def settle(stack: Stack, **arguments: Any) -> StripeSettlement:
    """The construct in test mode, with what the test is about.

    On a partner bus and with a Stripe secret, unless a key is given to create Stripe's side with.
    """
    values: dict[str, Any] = {"livemode": False, "code": any_code(), **arguments}
    if "database" not in values:
        values["database"] = any_database(stack)
    has_key = "stripe_api_key_secret" in values
    if "stripe_secret" not in values and not has_key:
        values["stripe_secret"] = any_secret(stack, "StripeCredentials")
    if "event_source_name" not in values and "event_bus" not in values and not has_key:
        values["event_source_name"] = PARTNER_SOURCE
    return StripeSettlement(stack, "Settlement", **values)


def template_of(stack: Stack) -> TemplateJson:
    """What CloudFormation is given."""
    template: TemplateJson = Template.from_stack(stack).to_json()
    return template


def resources(template: TemplateJson, resource_type: str) -> dict[str, Resource]:
    """The resources of one type, by logical id."""
    return {
        logical_id: resource
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == resource_type
    }


def only(template: TemplateJson, resource_type: str) -> Resource:
    """The properties of the one resource of a type."""
    [resource] = resources(template, resource_type).values()
    properties: Resource = resource.get("Properties", {})
    return properties


def find_id(template: TemplateJson, resource_type: str, part: str) -> str:
    """The logical id that contains this text."""
    [logical_id] = [each for each in resources(template, resource_type) if part in each]
    return logical_id


def find(template: TemplateJson, resource_type: str, part: str) -> Resource:
    """The properties of the resource whose logical id contains this text."""
    properties: Resource = template["Resources"][find_id(template, resource_type, part)].get(
        "Properties", {}
    )
    return properties


def statements(template: TemplateJson, part: str) -> dict[str, Resource]:
    """The role policies' statements by sid, of roles whose logical id contains this text."""
    return {
        statement["Sid"]: statement
        for logical_id, policy in resources(template, "AWS::IAM::Policy").items()
        if part in logical_id
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    }
