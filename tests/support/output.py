"""What a function wrote: log lines and metrics (CloudWatch embedded metric format)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

Record = dict[str, Any]


class Output:
    """Everything that was written since the last look, read line by line as JSON."""

    def __init__(self, captured: pytest.CaptureResult[str]) -> None:
        self.text = captured.out + captured.err
        records: list[Record] = [json.loads(line) for line in self.text.splitlines() if line]
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

    def counts(self) -> set[str]:
        """The names of the metrics that count something."""
        return {name for name, value in self.metric_values().items() if value == 1.0}
