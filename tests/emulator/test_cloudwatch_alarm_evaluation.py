"""Alarms are evaluated as time passes, on the metric they name, with missing data as they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.servers.emulated_aws import ACCOUNT, REGION
from local.waiting import wait_for
from tests.emulator.account import Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")

# At the speed of the tests' emulator, 300, a day passes in 288 s: longer than any of these tests.
DAY = 24 * 3600
DAY_PASSES = timedelta(seconds=288)


class Metric:
    """A metric of the test's own, and alarms on it that go off at 1 and above."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._name = any_name("metric")

    def put(self, *values: float, route: str = "watched", ago: timedelta = timedelta()) -> None:
        data = [
            {
                "MetricName": self._name,
                "Dimensions": [{"Name": "Route", "Value": route}],
                "Value": value,
                "Timestamp": datetime.now(UTC) - ago,
            }
            for value in values
        ]
        self._account.cloudwatch.put_metric_data(Namespace="Test", MetricData=data)

    def alarm(self, **settings: Any) -> str:
        name = any_name("alarm")
        if "ExtendedStatistic" not in settings:
            settings.setdefault("Statistic", "Sum")
        self._account.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": name,
                "Namespace": "Test",
                "MetricName": self._name,
                "Dimensions": [{"Name": "Route", "Value": "watched"}],
                "Period": DAY,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                **settings,
            }
        )
        return name

    def state(self, alarm: str) -> str:
        [found] = self._account.cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        return str(found["StateValue"])

    def wait_for_state(self, alarm: str, state: str) -> None:
        wait_for(lambda: self.state(alarm) == state or None, f"{alarm} to be {state}")


@pytest.fixture
def metric(account: Account) -> Metric:
    return Metric(account)


def test_data_point_that_breaches_the_threshold_raises_the_alarm(metric: Metric) -> None:
    alarm = metric.alarm()
    assert metric.state(alarm) == "OK"
    metric.put(1)
    assert metric.state(alarm) == "ALARM"


def test_alarm_recovers_as_time_passes(metric: Metric) -> None:
    alarm = metric.alarm(Period=60)
    metric.put(1)
    metric.wait_for_state(alarm, "OK")


def test_alarm_is_raised_by_a_metric_that_nobody_puts(account: Account) -> None:
    function = account.function("def handler(event, context): raise ValueError")
    metric = Metric(account)
    alarm = metric.alarm(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
    )
    account.invoke(function)
    metric.wait_for_state(alarm, "ALARM")


def test_data_with_other_dimensions_does_not_count(metric: Metric) -> None:
    alarm = metric.alarm()
    metric.put(1, route="other")
    assert metric.state(alarm) == "OK"


@pytest.mark.parametrize(
    ("settings", "below", "above"),
    [
        ({"Statistic": "Sum"}, 111, 112),
        ({"Statistic": "Maximum"}, 100, 101),
        ({"Statistic": "Minimum"}, 1, 2),
        ({"Statistic": "Average"}, 37, 38),
        ({"ExtendedStatistic": "p50"}, 10, 11),
    ],
)
def test_threshold_is_held_against_the_statistic(
    metric: Metric, settings: dict[str, str], below: int, above: int
) -> None:
    metric.put(1, 10, 100)
    assert metric.state(metric.alarm(**settings, Threshold=below)) == "ALARM"
    assert metric.state(metric.alarm(**settings, Threshold=above)) == "OK"


@pytest.mark.parametrize(
    ("comparison", "raised_at"),
    [
        ("GreaterThanOrEqualToThreshold", {1, 2}),
        ("GreaterThanThreshold", {2}),
        ("LessThanOrEqualToThreshold", {0, 1}),
        ("LessThanThreshold", {0}),
    ],
)
def test_comparison_is_the_alarm_s(metric: Metric, comparison: str, raised_at: set[int]) -> None:
    for value in (0, 1, 2):
        metric.put(value, route=str(value))
    alarms = {
        value: metric.alarm(
            ComparisonOperator=comparison,
            Dimensions=[{"Name": "Route", "Value": str(value)}],
        )
        for value in (0, 1, 2)
    }
    assert {value for value, alarm in alarms.items() if metric.state(alarm) == "ALARM"} == raised_at


def test_alarm_of_two_periods_needs_both_to_breach(metric: Metric) -> None:
    alarm = metric.alarm(EvaluationPeriods=2)
    metric.put(1, ago=1.5 * DAY_PASSES)
    assert metric.state(alarm) == "OK"
    metric.put(1)
    assert metric.state(alarm) == "ALARM"


def test_fewer_data_points_may_be_enough(metric: Metric) -> None:
    alarm = metric.alarm(EvaluationPeriods=2, DatapointsToAlarm=1)
    metric.put(1, ago=1.5 * DAY_PASSES)
    assert metric.state(alarm) == "ALARM"


@pytest.mark.parametrize(
    ("treatment", "state"),
    [
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "INSUFFICIENT_DATA"),  # which a new alarm is
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(
    metric: Metric, treatment: str, state: str
) -> None:
    assert metric.state(metric.alarm(TreatMissingData=treatment)) == state


def test_alarm_that_ignores_missing_data_stays_raised(metric: Metric) -> None:
    stays = metric.alarm(Period=60, TreatMissingData="ignore")
    recovers = metric.alarm(Period=120)
    metric.put(1)
    metric.wait_for_state(recovers, "OK")  # its period is longer: the other's is over, too
    assert metric.state(stays) == "ALARM"


def test_each_change_of_state_is_published_once(account: Account, metric: Metric) -> None:
    sns, queue = account.aws.client("sns"), account.queue()
    topic = sns.create_topic(Name=any_name("topic"))["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queue.arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    alarm = metric.alarm(Period=60, AlarmActions=[topic], OKActions=[topic])
    metric.put(1)
    told = [queue.receive()["Body"] for _ in range(3)]
    assert [(message["OldStateValue"], message["NewStateValue"]) for message in told] == [
        ("INSUFFICIENT_DATA", "OK"),
        ("OK", "ALARM"),
        ("ALARM", "OK"),
    ]
    assert {message["AlarmName"] for message in told} == {alarm}
    assert {(message["AWSAccountId"], message["Region"]) for message in told} == {(ACCOUNT, REGION)}
    assert queue.is_empty()
