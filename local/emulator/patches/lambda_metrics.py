"""Every invocation is counted in `AWS/Lambda`, wherever it came from.

On AWS (Lambda Developer Guide, "Types of metrics for Lambda functions") `Invocations`, `Errors` and
`Duration` tell of every run of a function's code, and `Throttles` of every request that was turned
away, which is neither an invocation nor an error. MiniStack counts calls of the `Invoke` API only:
nothing that EventBridge or API Gateway invokes, and an asynchronous call when it is accepted, not
when it runs.
"""

import time
from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import cloudwatch, lambda_svc
from local.emulator.patching import replace


def apply(_settings: Settings) -> None:
    """Count where every invocation passes, and silence the count of the `Invoke` API."""
    replace(lambda_svc, "_emit_lambda_metrics", lambda *_, **__: None)
    replace(lambda_svc, "_execute_function_dispatch", _execute)
    replace(lambda_svc, "_acquire_execution_slot", _acquire_slot)


def record(config: dict[str, Any], name: str, value: float, unit: str = "Count") -> None:
    """Add a data point to a metric of the function with this configuration."""
    cloudwatch.record_metric(
        "AWS/Lambda", name, value, unit, {"FunctionName": config["FunctionName"]}
    )


def _execute(
    original: Callable[..., Any],
    function: dict[str, Any],
    config: dict[str, Any],
    event: Any,
    request_id: str,
    started: float,
) -> Any:
    result = original(function, config, event, request_id, started)
    record(config, "Invocations", 1)
    record(config, "Errors", 1 if result.get("error") else 0)
    record(config, "Throttles", 0)
    record(config, "Duration", (time.time() - started) * 1000, "Milliseconds")
    return result


def _acquire_slot(
    original: Callable[..., Any], function: dict[str, Any], config: dict[str, Any]
) -> Any:
    slot, limit = original(function, config)
    if slot is None:
        record(config, "Throttles", 1)
    return slot, limit
