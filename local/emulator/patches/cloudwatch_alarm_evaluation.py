"""Alarms are evaluated as time passes, on the metric they name, with missing data as they say.

On AWS (CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat
missing data") an alarm looks every minute at the last `EvaluationPeriods` periods of the metric
with exactly its dimensions, and goes off when `DatapointsToAlarm` of them breach the threshold.
Periods without data count as `TreatMissingData` says. A change of state is published.

MiniStack evaluates when someone puts metric data by the API, never as time passes, over all
dimensions of a metric at once and as one period, and does not look at missing data.

Not evaluated: metric math, anomaly detection, and the extra periods that AWS looks back to bridge
missing data.
"""

import itertools
import operator
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from local.emulator import Settings, clock
from local.emulator.modules import cloudwatch
from local.emulator.patching import replace

_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

_evaluated: dict[str, float] = {}
"""When each alarm was last evaluated, by its name."""

_lock = threading.Lock()  # two threads must not both see the same change, and publish it twice


def apply(settings: Settings) -> None:
    """Evaluate every alarm each 10 s; a period is `speed` times shorter than it says.

    More often than on AWS, so that none of a period's windows, which are not aligned to the minute
    as there, falls between two evaluations.
    """

    def evaluate(_original: Callable[..., Any], alarm: dict[str, Any]) -> None:
        with _lock:
            change = _evaluate(alarm, speed=settings.speed)
        if change is not None:
            _publish(alarm, *change)

    replace(cloudwatch, "_evaluate_alarm", evaluate)
    clock.every(10 / settings.speed, "alarms", _evaluate_all)


def _evaluate_all() -> None:
    for alarm in cloudwatch._alarms.values():
        cloudwatch._evaluate_alarm(alarm)


def _evaluate(alarm: dict[str, Any], *, speed: float) -> tuple[str, str] | None:
    """Set the alarm's state. Return what it was before and why it changed, if it did."""
    compare = _COMPARISONS.get(alarm["ComparisonOperator"])
    if compare is None or not alarm.get("MetricName"):
        return None
    now = time.time()
    # A busy machine evaluates late; what lies between two evaluations is looked at all the same.
    late = now - _evaluated.get(alarm["AlarmName"], now)
    _evaluated[alarm["AlarmName"]] = now
    values = list(_period_values(alarm, seconds=max(alarm["Period"] / speed, late)))
    state = _state(alarm, [None if v is None else compare(v, alarm["Threshold"]) for v in values])
    before = str(alarm["StateValue"])
    if state == before:
        return None
    latest = next((value for value in values if value is not None), "missing")
    reason = f"The latest data point is {latest}; the threshold is {alarm['Threshold']}."
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    return before, reason


def _period_values(alarm: dict[str, Any], *, seconds: float) -> Iterable[float | None]:
    """Yield the alarm's statistic of each period, the latest first; None where there is no data."""
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm["Dimensions"]))
    key = (alarm["Namespace"], alarm["MetricName"], dimensions)
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    periods = int(alarm["EvaluationPeriods"])
    now = time.time()
    # They stand in the order of their time, and there may be very many of them.
    newest_first = reversed(cloudwatch._metrics.get(key) or ())
    points = list(
        itertools.takewhile(
            lambda point: bool(point["Timestamp"] > now - seconds * periods), newest_first
        )
    )
    for period in range(periods):
        end = now - seconds * period
        inside = [point for point in points if end - seconds < point["Timestamp"] <= end]
        statistics = cloudwatch._calc_stats(inside)
        yield cloudwatch._stat_value(statistics, statistic, inside) if inside else None


def _state(alarm: dict[str, Any], breaches: list[bool | None]) -> str:
    missing = {"breaching": True, "notBreaching": False}.get(alarm["TreatMissingData"])
    filled = [missing if breach is None else breach for breach in breaches]
    known = [breach for breach in filled if breach is not None]
    if sum(known) >= int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]):
        return "ALARM"
    if known:
        return "OK"
    return (
        str(alarm["StateValue"]) if alarm["TreatMissingData"] == "ignore" else "INSUFFICIENT_DATA"
    )


def _publish(alarm: dict[str, Any], before: str, reason: str) -> None:
    state = alarm["StateValue"]
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)
