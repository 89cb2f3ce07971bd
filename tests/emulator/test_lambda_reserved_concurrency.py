"""`ReservedConcurrentExecutions` of a template's function is in force."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.account import ECHO, ROLE, Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")


def resources(reserved: int | None) -> dict[str, Any]:
    properties = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"ZipFile": ECHO},
        "Timeout": 30,
    }
    if reserved is not None:
        properties["ReservedConcurrentExecutions"] = reserved
    return {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}


def deploy(account: Account, stack: str, reserved: int | None) -> str:
    """The function's name."""
    return account.deploy(stack, resources(reserved), Name={"Ref": "Function"})["Name"]


def reserved(account: Account, function: str) -> int | None:
    answer = account.functions.get_function_concurrency(FunctionName=function)
    found: int | None = answer.get("ReservedConcurrentExecutions")
    return found


def test_created_function_runs_no_more_than_its_template_reserves(account: Account) -> None:
    function = deploy(account, any_name("stack"), 0)
    with pytest.raises(ClientError, match="TooManyRequests"):
        account.invoke(function)


def test_update_changes_what_is_reserved(account: Account) -> None:
    stack = any_name("stack")
    deploy(account, stack, 0)
    function = deploy(account, stack, 7)
    assert reserved(account, function) == 7
    assert account.invoke(function, "any").payload == "any"


def test_update_without_the_property_reserves_nothing(account: Account) -> None:
    stack = any_name("stack")
    deploy(account, stack, 0)
    assert reserved(account, deploy(account, stack, None)) is None
