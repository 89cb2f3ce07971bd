"""Metrics that a function writes to its log in the embedded metric format are recorded."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.emulator.account import Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")

PRINT = "def handler(event, context): print(event)"


def document(namespace: str, **members: Any) -> dict[str, Any]:
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [["service"], ["service", "route"]],
                    "Metrics": [
                        {"Name": "Settled", "Unit": "Count"},
                        {"Name": "Lag", "Unit": "Milliseconds"},
                    ],
                }
            ],
        },
        "service": "any",
        "route": "webhook",
        "Settled": 1,
        "Lag": [20, 30],
        **members,
    }


def test_metric_is_recorded_under_each_set_of_dimensions(account: Account) -> None:
    namespace = any_name()
    account.invoke(account.function(PRINT), json.dumps(document(namespace)))
    assert account.total(namespace, "Settled", service="any") == 1
    assert account.total(namespace, "Settled", service="any", route="webhook") == 1


def test_each_value_of_a_list_is_a_data_point(account: Account) -> None:
    namespace = any_name()
    account.invoke(account.function(PRINT), json.dumps(document(namespace)))
    statistics = account.statistics(namespace, "Lag", {"service": "any"})
    assert statistics is not None
    assert (statistics["SampleCount"], statistics["Sum"]) == (2, 50)


def test_metric_of_a_function_that_then_fails_is_recorded(account: Account) -> None:
    namespace = any_name()
    function = account.function(f"{PRINT}; raise ValueError")
    account.invoke(function, json.dumps(document(namespace)))
    assert account.total(namespace, "Settled", service="any") == 1


@pytest.mark.parametrize("broken", [{"service": None}, {"Settled": "many"}])
def test_document_that_is_not_valid_stays_a_log_line(
    account: Account, broken: dict[str, Any]
) -> None:
    namespace, function = any_name(), account.function(PRINT)
    line = json.dumps({k: v for k, v in document(namespace, **broken).items() if v is not None})
    assert account.invoke(function, line).error is None
    assert line in account.log_lines(function)
    assert account.total(namespace, "Settled", service="any") is None
