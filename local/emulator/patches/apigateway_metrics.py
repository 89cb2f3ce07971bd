"""Responses of a REST API's stage are counted.

On AWS (API Gateway Developer Guide, "Amazon API Gateway dimensions and metrics") each request adds
to `Count`, `4XXError`, `5XXError` and `Latency` of its API, by name, and stage. MiniStack counts
none.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import apigateway_v1, cloudwatch
from local.emulator.patching import replace


def apply(_settings: Settings) -> None:
    """Count the responses of every deployed stage."""
    replace(apigateway_v1, "_handle_execute_in_scope", _answer)


async def _answer(
    original: Callable[..., Awaitable[Any]], api_id: str, stage: str, *request: Any
) -> Any:
    started = time.time()
    answer = await original(api_id, stage, *request)
    status, latency = answer[0], (time.time() - started) * 1000
    dimensions = {"ApiName": apigateway_v1._rest_apis[api_id]["name"], "Stage": stage}
    for name, value, unit in (
        ("Count", 1, "Count"),
        ("4XXError", 1 if 400 <= status < 500 else 0, "Count"),
        ("5XXError", 1 if status >= 500 else 0, "Count"),
        ("Latency", latency, "Milliseconds"),
    ):
        cloudwatch.record_metric("AWS/ApiGateway", name, value, unit, dimensions)
    return answer
