"""No data point of a metric is lost to another one that is added at the same time.

CloudWatch counts each (CloudWatch API Reference, "PutMetricData"). MiniStack's functions run in
threads of their own, and two of them that begin a metric together each make a list for it. And with
every request to CloudWatch all lists are copied without their old points, and so without those that
are added while they are copied.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from local.emulator import Settings
from local.emulator.modules import cloudwatch
from local.emulator.patching import replace

_TWO_WEEKS: Final = 14 * 24 * 3600


def apply(_settings: Settings) -> None:
    """Make one list for a metric, and forget old points in place."""
    replace(cloudwatch, "_metric_bucket", _points)
    replace(cloudwatch, "_evict_old_metrics", _forget_old)


def _points(_original: Callable[..., Any], key: Any) -> Any:
    return cloudwatch._metrics.setdefault(key, [])


def _forget_old(_original: Callable[..., Any]) -> None:
    oldest = time.time() - _TWO_WEEKS
    for points in cloudwatch._metrics.values():
        while points and points[0]["Timestamp"] < oldest:
            del points[0]
