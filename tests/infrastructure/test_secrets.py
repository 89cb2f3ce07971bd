"""Secrets come in as NoEcho parameters, live in Secrets Manager, and are readable nowhere else."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template
from tests.infrastructure.physical_names import resolve
from tests.infrastructure.synthesis import (
    TemplateJson,
    find,
    find_id,
    payments_stack,
    resources,
    secret_arn,
    statements,
    template_of,
)

SECRET_PARAMETERS = {"DbPassword", "StripeSecretKey", "StripeWebhookSecret"}
SECRET_VARIABLES = {"DB_PASSWORD", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}


def references(value: Any) -> set[str]:
    """Every `Ref` inside a value."""
    if isinstance(value, Mapping):
        own = {str(value["Ref"])} if "Ref" in value else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def secret_string(part: str, **parameters: str) -> Any:
    """What Secrets Manager is given for these parameters."""
    template = environment_template("dev")
    given = {name: {"Default": value} for name, value in parameters.items()}
    text = find(template, "AWS::SecretsManager::Secret", part)["SecretString"]
    return json.loads(resolve(text, {**template, "Parameters": given}))


@pytest.fixture
def dev() -> TemplateJson:
    return environment_template("dev")


def test_dev_takes_exactly_these_secrets_as_parameters(dev: TemplateJson) -> None:
    hidden = {name for name, each in dev["Parameters"].items() if each.get("NoEcho")}
    assert hidden == SECRET_PARAMETERS


def test_no_secret_parameter_has_a_default(dev: TemplateJson) -> None:
    assert not [name for name in SECRET_PARAMETERS if "Default" in dev["Parameters"][name]]


def test_secret_parameters_go_into_secrets_manager_and_nowhere_else(dev: TemplateJson) -> None:
    users = {
        dev["Resources"][logical_id]["Type"]
        for logical_id, resource in dev["Resources"].items()
        if references(resource) & SECRET_PARAMETERS
    }
    assert users == {"AWS::SecretsManager::Secret"}


def test_each_secret_holds_what_one_reader_needs(dev: TemplateJson) -> None:
    assert {
        frozenset(references(each["Properties"]["SecretString"]))
        for each in resources(dev, "AWS::SecretsManager::Secret").values()
    } == {
        frozenset({"DbUser", "DbPassword"}),
        frozenset({"StripeSecretKey"}),
        frozenset({"StripeWebhookSecret"}),
    }


def test_the_databases_secret_is_what_the_functions_read() -> None:
    assert secret_string("DatabaseSecret", DbUser="shop", DbPassword="p'a$s w{o}rd") == {
        "username": "shop",
        "password": "p'a$s w{o}rd",
    }


def test_stripes_secret_is_what_the_functions_read() -> None:
    assert secret_string("StripeSecret", StripeWebhookSecret="whsec_a,whsec_b") == {
        "webhook_secret": "whsec_a,whsec_b"
    }


def test_stripes_key_is_where_no_function_reads_it(dev: TemplateJson) -> None:
    assert secret_string("StripeKeySecret", StripeSecretKey="sk_test_1") == {"api_key": "sk_test_1"}
    key = find_id(dev, "AWS::SecretsManager::Secret", "StripeKeySecret")
    users = {name for name, each in dev["Resources"].items() if key in references(each)}
    assert users == set()


@pytest.mark.parametrize("name", ["DbUser", "DbPassword"])
@pytest.mark.parametrize("value", ['a"b', "a\\", "a\nb", "a\tb", ""])
def test_what_would_break_the_secrets_json_is_an_error_at_deployment(
    dev: TemplateJson, name: str, value: str
) -> None:
    parameter = dev["Parameters"][name]
    assert re.fullmatch(parameter["AllowedPattern"], value) is None
    assert "give the secret's ARN" in parameter["ConstraintDescription"]


@pytest.mark.parametrize("value", ["p'a$s w{o}rd", "pässwörd", "%/:@?#", "x"])
def test_any_other_password_is_taken(dev: TemplateJson, value: str) -> None:
    assert re.fullmatch(dev["Parameters"]["DbPassword"]["AllowedPattern"], value)


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("whsec_a1", True),
        ("whsec_a1,whsec_b2", True),
        ("whsec_a1, whsec_b2", False),
        ("sk_test_1", False),
        ("whsec_", False),
    ],
)
def test_signing_secrets_are_distinguished_from_other_keys(
    dev: TemplateJson, value: str, *, taken: bool
) -> None:
    pattern = dev["Parameters"]["StripeWebhookSecret"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is taken


def test_test_mode_rejects_a_live_key(dev: TemplateJson) -> None:
    pattern = dev["Parameters"]["StripeSecretKey"]["AllowedPattern"]
    assert re.fullmatch(pattern, "sk_test_1")
    assert re.fullmatch(pattern, "sk_live_1") is None


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_function_holds_a_secret_in_its_environment(environment: str) -> None:
    for each in resources(environment_template(environment), "AWS::Lambda::Function").values():
        variables = each["Properties"].get("Environment", {}).get("Variables", {})
        assert not SECRET_VARIABLES & set(variables)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_output_shows_a_secret(environment: str) -> None:
    template = environment_template(environment)
    secrets = set(resources(template, "AWS::SecretsManager::Secret"))
    assert not references(template["Outputs"]) & (SECRET_PARAMETERS | secrets)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_secret_is_resolved_into_the_template(environment: str) -> None:
    assert "{{resolve:" not in json.dumps(environment_template(environment))


def test_functions_get_the_secrets_by_reference(dev: TemplateJson) -> None:
    database = find_id(dev, "AWS::SecretsManager::Secret", "DatabaseSecret")
    stripe = find_id(dev, "AWS::SecretsManager::Secret", "StripeSecret")
    function = find(dev, "AWS::Lambda::Function", "StripePaymentFunction")
    variables = function["Environment"]["Variables"]
    assert variables["DB_SECRET_ARN"] == {"Ref": database}
    assert variables["STRIPE_SECRET_ARN"] == {"Ref": stripe}


def test_prod_takes_no_secret_but_where_it_is() -> None:
    template = environment_template("prod")
    assert not SECRET_PARAMETERS & set(template["Parameters"])
    assert resources(template, "AWS::SecretsManager::Secret") == {}
    assert {"DbCredentialsArn", "StripeCredentialsArn"} <= set(template["Parameters"])


def test_existing_secrets_are_read_by_their_arn() -> None:
    stack = payments_stack(
        "prod",
        database_secret_arn=secret_arn("Database"),
        stripe_secret_arn=secret_arn("Stripe"),
    )

    found = statements(template_of(stack), "StripePaymentFunction")
    assert found["ReadTheDatabaseSecret"]["Resource"] == secret_arn("Database")
    assert found["ReadTheStripeSecret"]["Resource"] == secret_arn("Stripe")


def test_existing_secrets_are_decrypted_with_the_key_of_cdk_json() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    stack = payments_stack("prod", secrets_key_arn=key)

    found = statements(template_of(stack), "StripePaymentFunction")
    assert found["DecryptTheDatabaseSecret"]["Resource"] == key
    assert found["DecryptTheStripeSecret"]["Resource"] == key
