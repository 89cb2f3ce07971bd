"""`Ref` of a secret is its ARN."""

from __future__ import annotations

from typing import Any

import pytest

from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from tests.emulator.account import Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")


def deploy(account: Account, stack: str, value: str, **properties: Any) -> str:
    """What `Ref` of the secret gives."""
    secret = {
        "Type": "AWS::SecretsManager::Secret",
        "Properties": {"SecretString": value, **properties},
    }
    return account.deploy(stack, {"Secret": secret}, Ref={"Ref": "Secret"})["Ref"]


def value(aws: EmulatedAWS, secret: str) -> str:
    found: str = aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    return found


def secrets(aws: EmulatedAWS) -> set[str]:
    return {found["ARN"] for found in aws.client("secretsmanager").list_secrets()["SecretList"]}


def test_reference_is_the_arn_of_the_secret(account: Account, aws: EmulatedAWS) -> None:
    arn = deploy(account, any_name("stack"), "first")
    assert arn.startswith(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:")
    assert value(aws, arn) == "first"


def test_new_value_keeps_the_arn(account: Account, aws: EmulatedAWS) -> None:
    stack = any_name("stack")
    arn = deploy(account, stack, "first")
    assert deploy(account, stack, "second") == arn
    assert value(aws, arn) == "second"


def test_new_name_replaces_the_secret(account: Account, aws: EmulatedAWS) -> None:
    stack = any_name("stack")
    arn = deploy(account, stack, "any", Name=any_name())
    renamed = deploy(account, stack, "any", Name=any_name())
    assert {arn, renamed} & secrets(aws) == {renamed}


def test_secret_goes_with_its_stack(account: Account, aws: EmulatedAWS) -> None:
    stack = any_name("stack")
    arn = deploy(account, stack, "any")
    account.delete_stack(stack)
    assert arn not in secrets(aws)
