"""Metrics that a function writes to its log in the embedded metric format are recorded.

On AWS (CloudWatch User Guide, "Specification: Embedded metric format") a log line that is a JSON
object with an `_aws` member becomes data points: for every set of dimensions, each metric it names,
with the values of the members so called. MiniStack keeps the line and records nothing.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from local.emulator import Settings
from local.emulator.modules import cloudwatch, lambda_svc
from local.emulator.patching import replace

_log = logging.getLogger(__name__)
_UNDER_WAY_SECONDS: Final = 60.0


def apply(_settings: Settings) -> None:
    """Read every line that goes from a function to its log."""
    replace(lambda_svc, "_emit_lambda_logs", _emit_logs)


def _emit_logs(
    original: Callable[..., Any],
    function: dict[str, Any],
    request_id: str,
    log_text: str,
    *rest: Any,
    **options: Any,
) -> None:
    original(function, request_id, log_text, *rest, **options)
    for line in log_text.splitlines():
        if line.startswith("{") and '"CloudWatchMetrics"' in line:
            _record(line)


def _record(line: str) -> None:
    try:
        document = json.loads(line)
        seconds = _moment(document["_aws"]["Timestamp"] / 1000)
        for namespace, dimensions, name, unit in _metrics(document):
            values = document[name] if isinstance(document[name], list) else [document[name]]
            cloudwatch._store_datum(
                namespace, name, dimensions, seconds, unit, None, values, None, None
            )
    except (KeyError, TypeError, ValueError):
        # As on AWS: what does not follow the specification stays a log line. The line is not told.
        _log.warning("A line in the embedded metric format is not valid")


def _moment(written: float) -> float:
    """Return when a line counts that was written just now: as it arrives.

    An alarm's five minutes take seconds here, but what a busy machine takes to bring the line does
    not: by the time it was written the data point would be older than the alarm looks back.
    """
    now = time.time()
    return now if now - _UNDER_WAY_SECONDS < written < now else written


def _metrics(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], str, str]]:
    """Namespace, dimensions, name and unit of everything the document measures."""
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                yield directive["Namespace"], dimensions, metric["Name"], metric.get("Unit", "None")
