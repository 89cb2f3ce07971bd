"""No data point of a metric is lost to another one that is added at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.emulator.account import Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")


def test_invocations_at_the_same_time_are_all_counted(account: Account) -> None:
    function = account.function()
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(lambda _: account.invoke(function), range(24)))
    assert account.total("AWS/Lambda", "Invocations", FunctionName=function) == 24


def test_data_point_of_three_weeks_ago_is_forgotten(account: Account) -> None:
    namespace = any_name()
    for days in (21, 0):
        account.cloudwatch.put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": "any",
                    "Value": 1,
                    "Timestamp": datetime.now(UTC) - timedelta(days=days),
                }
            ],
        )
    assert account.total(namespace, "any") == 1
