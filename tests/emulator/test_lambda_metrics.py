"""Every invocation is counted in AWS/Lambda, wherever it came from."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.emulator.account import FAIL, Account, Rule

pytestmark = pytest.mark.xdist_group("emulator")


def total(account: Account, metric: str, function: str) -> float | None:
    return account.total("AWS/Lambda", metric, FunctionName=function)


def test_invocation_is_counted_once(account: Account) -> None:
    function = account.function()
    account.invoke(function)
    counts = {name: total(account, name, function) for name in ("Invocations", "Errors")}
    assert counts == {"Invocations": 1, "Errors": 0}


def test_error_is_an_invocation_and_an_error(account: Account) -> None:
    function = account.function(FAIL)
    account.invoke(function)
    counts = {name: total(account, name, function) for name in ("Invocations", "Errors")}
    assert counts == {"Invocations": 1, "Errors": 1}


def test_duration_is_in_milliseconds(account: Account) -> None:
    function = account.function(
        "import time\ndef handler(event, context): time.sleep(0.2)"  # 200 ms, and no more than 30 s
    )
    account.invoke(function)
    assert 200 <= (total(account, "Duration", function) or 0) < 30_000


def test_throttle_is_neither_an_invocation_nor_an_error(account: Account) -> None:
    function = account.function()
    account.functions.put_function_concurrency(
        FunctionName=function, ReservedConcurrentExecutions=0
    )
    with pytest.raises(ClientError, match="TooManyRequests"):
        account.invoke(function)
    counts = {
        name: total(account, name, function) for name in ("Throttles", "Invocations", "Errors")
    }
    assert counts == {"Throttles": 1, "Invocations": None, "Errors": None}


def test_invocation_by_a_rule_is_counted(account: Account) -> None:
    function = account.function()
    rule = Rule.on_a_bus(account, function=function)
    rule.allow(function)
    rule.put()
    account.wait_for_total(1, "AWS/Lambda", "Invocations", FunctionName=function)
