"""A rule with a rate is due once its interval has passed, by the clock that alarms run by.

On AWS (EventBridge User Guide, "Creating a rule that runs on a schedule") the interval of
`rate(15 minutes)` counts from the creation of the rule. MiniStack does the same, in real time
alone, and looks only every 10 s: what a schedule brings would come long after the alarm on it.

`cron(…)` stays in real time: it names moments, which nothing here makes come sooner.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import eventbridge
from local.emulator.patching import replace


def apply(settings: Settings) -> None:
    """Divide the intervals of rates, and the wait between two looks at them, by the speed."""

    def interval(original: Callable[..., Any], expression: str) -> float | None:
        seconds = original(expression)
        return None if seconds is None else seconds / settings.speed

    replace(eventbridge, "_parse_rate_seconds", interval)
    eventbridge._SCHEDULER_TICK_INTERVAL /= settings.speed
