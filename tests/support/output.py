"""What a function writes: log lines and metrics (CloudWatch embedded metric format)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, ParamSpec, TypeVar

Record = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


class Output:
    """What was written, read line by line as JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        records: list[Record] = [json.loads(line) for line in text.splitlines()]
        self.metrics = [record for record in records if "_aws" in record]
        self.logs = [record for record in records if "_aws" not in record]

    def metric_values(self) -> dict[str, float]:
        """Every metric's value; each is written once."""
        values: dict[str, float] = {}
        for record in self.metrics:
            for definition in record["_aws"]["CloudWatchMetrics"]:
                for metric in definition["Metrics"]:
                    [value] = record[metric["Name"]]
                    assert metric["Name"] not in values
                    values[metric["Name"]] = value
        return values

    def outcome_metrics(self) -> set[str]:
        """The names of the metrics that count; those that measure left out."""
        measures = {"SettlementDuration", "SettlementLag"}
        values = {k: v for k, v in self.metric_values().items() if k not in measures}
        assert set(values.values()) <= {1.0}
        return set(values)


class Process:
    """A function's process: standard output and error are one stream, for as long as it lives.

    Powertools keeps the stream that it finds when a logger is made, and pytest gives each phase of
    a test another one; hence a stream of our own.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._stream = io.StringIO()

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call, and keep what it writes."""
        with redirect_stdout(self._stream), redirect_stderr(self._stream):
            return call(*args, **kwargs)

    def output(self) -> Output:
        """What was written since this was last asked."""
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return Output(text)
