"""Asynchronous invocations are retried as on AWS, and end in the on-failure queue.

On AWS (Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation"
and "Capturing records of Lambda asynchronous invocations"):

- An event whose function failed is retried `MaximumRetryAttempts` times, one minute after the first
  attempt and two minutes after the second, under one request id.
- A throttled event goes back to the queue and costs no attempt. It is tried again after 1 s, then
  after twice that, up to 5 minutes.
- An event older than `MaximumEventAgeInSeconds` is dropped, however many attempts are left.
- An event for a function whose reserved concurrency is zero is dropped without an attempt.
- What is dropped goes to the on-failure destination, in a record of the event and the last error.

MiniStack retries without telling a throttle from an error, runs every attempt on the code of the
first, writes a record with a fixed count and condition, and does none of it for EventBridge.

Only queues are served as destinations, and on failure only: the app uses no others.
"""

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from local.emulator import Settings, queues
from local.emulator.modules import lambda_svc, responses
from local.emulator.patches.lambda_metrics import record
from local.emulator.patching import replace

_AWS_FIRST_RETRY_SECONDS: Final = 60.0
_AWS_THROTTLE_SECONDS: Final = (1.0, 300.0)  # the first wait, and the longest
_DEFAULT_RETRIES: Final = 2
_DEFAULT_AGE_SECONDS: Final = 21600

_request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request", default=None)
_log = logging.getLogger(__name__)


def apply(settings: Settings) -> None:
    """Take over every asynchronous invocation, whichever service asks for it."""

    def invoke(_original: Callable[..., Any], function: dict[str, Any], event: Any) -> None:
        config = function.get("config") or function
        invocation = AsynchronousInvocation(
            config["FunctionArn"], event, retry_seconds=settings.async_retry_seconds
        )
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(invocation.run,), daemon=True).start()

    replace(lambda_svc, "invoke_async_with_retry", invoke)
    replace(lambda_svc, "_execute_function_dispatch", _execute_under_one_request_id)


def _execute_under_one_request_id(
    original: Callable[..., Any],
    function: dict[str, Any],
    config: dict[str, Any],
    event: Any,
    request_id: str,
    started: float,
) -> Any:
    return original(function, config, event, _request_id.get() or request_id, started)


class AsynchronousInvocation:
    """One event on its way to a function: what Lambda's own queue does with it."""

    def __init__(self, function_arn: str, event: Any, *, retry_seconds: float) -> None:
        self._function_arn = function_arn
        self._event = event
        self._request_id = responses.new_uuid()
        self._retry_seconds = retry_seconds
        self._queued_at = time.time()
        self._attempts = 0
        self._result: dict[str, Any] | None = None

    def run(self) -> None:
        """Invoke until the function succeeds or the event is dropped."""
        _request_id.set(self._request_id)
        speed = self._retry_seconds / _AWS_FIRST_RETRY_SECONDS
        throttle_wait, longest_throttle_wait = (speed * wait for wait in _AWS_THROTTLE_SECONDS)
        while (config := self._config()) is not None:
            retries, age, _ = _limits(self._function_arn)
            if time.time() - self._queued_at > age:
                self._drop(config, "EventAgeExceeded")
                return
            if _is_paused(self._function_arn):
                self._drop(config, "ZeroReservedConcurrency")
                return
            result = self._attempt(config)
            if result.get("throttle"):
                time.sleep(throttle_wait)
                throttle_wait = min(2 * throttle_wait, longest_throttle_wait)
                continue
            self._result = result
            self._attempts += 1
            if not result.get("error"):
                return
            if self._attempts > retries:
                self._drop(config, "RetriesExhausted")
                return
            time.sleep(self._retry_seconds * self._attempts)
        _log.warning("An event is dropped: its function %s is gone", self._function_arn)

    def _config(self) -> dict[str, Any] | None:
        """Return the function's configuration of now: a retry runs what is deployed by then."""
        config: dict[str, Any] | None
        _, config, _ = lambda_svc._get_func_record_for_ref(self._function_arn)
        return config

    def _attempt(self, config: dict[str, Any]) -> dict[str, Any]:
        record(config, "AsyncEventAge", (time.time() - self._queued_at) * 1000, "Milliseconds")
        function, _, _ = lambda_svc._get_func_record_for_ref(self._function_arn)
        target = lambda_svc._execution_record_for_config(
            function, {**config, "FunctionArn": self._function_arn}
        )
        result: dict[str, Any] = lambda_svc._execute_function_with_config_scope(target, self._event)
        return result

    def _drop(self, config: dict[str, Any], condition: str) -> None:
        _, _, destination = _limits(self._function_arn)
        if destination:
            message = json.dumps(self._record(config, condition))
            if not queues.send(destination, message):
                record(config, "DestinationDeliveryFailures", 1)
                _log.warning("No record of a dropped event: %s takes none", destination)
        record(config, "AsyncEventsDropped", 1)

    def _record(self, config: dict[str, Any], condition: str) -> dict[str, Any]:
        version = config.get("Version", "$LATEST")
        invocation: dict[str, Any] = {
            "version": "1.0",
            "timestamp": responses.now_iso(),
            "requestContext": {
                "requestId": self._request_id,
                "functionArn": f"{config['FunctionArn'].split(':$LATEST')[0]}:{version}",
                "condition": condition,
                "approximateInvokeCount": self._attempts,
            },
            "requestPayload": self._event,
        }
        if self._result is not None:  # it ran at least once
            invocation["responseContext"] = {
                "statusCode": 200,
                "executedVersion": version,
                "functionError": "Unhandled",
            }
            invocation["responsePayload"] = self._result.get("body")
        return invocation


def _is_paused(function_arn: str) -> bool:
    function, _, _ = lambda_svc._get_base_func_record_for_ref(function_arn)
    return (function or {}).get("concurrency") == 0


def _limits(function_arn: str) -> tuple[int, float, str | None]:
    """Retries, greatest age in seconds, and the ARN of the on-failure destination if any."""
    function, _, _ = lambda_svc._get_base_func_record_for_ref(function_arn)
    _, qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(function_arn)
    configs = (function or {}).get("event_invoke_configs") or {}
    # CloudFormation names `$LATEST`, the API leaves it out: both mean the unpublished code.
    names = (qualifier,) if qualifier not in (None, "$LATEST") else ("$LATEST", "")
    found: dict[str, Any] = next((configs[name] for name in names if name in configs), {})
    destinations = found.get("DestinationConfig") or {}
    retries = found.get("MaximumRetryAttempts")
    return (
        _DEFAULT_RETRIES if retries is None else int(retries),
        float(found.get("MaximumEventAgeInSeconds") or _DEFAULT_AGE_SECONDS),
        (destinations.get("OnFailure") or {}).get("Destination"),
    )
