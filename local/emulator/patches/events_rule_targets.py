"""EventBridge hands events to functions and queues, and what it cannot hand over to the DLQ.

On AWS (EventBridge User Guide, "Using dead-letter queues to process undelivered events"; "Amazon
EventBridge resource-based policies" for the permissions):

- A function gets its events by an asynchronous invocation. Accepted is delivered: what the handler
  does with the event is Lambda's business (see `lambda_asynchronous_invocation`).
- An event for a function that is gone (`NO_RESOURCE`), or whose policy does not let
  `events.amazonaws.com` invoke it for this rule (`NO_PERMISSIONS`), is not retried. It goes to the
  target's dead-letter queue at once, with the reason in message attributes, if the queue's own
  policy lets the rule send.
- A queue gets an event as a message if its policy lets the rule send; else as above.
- `AWS/Events` counts it under `RuleName`, and under `EventBusName` too on any bus but `default`.

MiniStack invokes synchronously in a thread, forgets failures, asks for no permission and writes
nothing to the dead-letter queue. It never throttles an asynchronous call, nor is it ever down, so
the target's retry policy has nothing to do here.
"""

import contextvars
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from local.emulator import Settings, queues
from local.emulator.modules import cloudwatch, eventbridge, lambda_svc
from local.emulator.patching import replace

_EVENTS: Final = "events.amazonaws.com"

# Target and rule of the event that is being delivered, which MiniStack does not pass on.
_delivery: contextvars.ContextVar[tuple[dict[str, Any], dict[str, Any]]] = contextvars.ContextVar(
    "delivery"
)
_log = logging.getLogger(__name__)


def apply(_settings: Settings) -> None:
    """Take over the delivery of events to functions and queues."""
    replace(eventbridge, "_invoke_target", _invoke_target)
    replace(eventbridge, "_dispatch_to_lambda", _deliver)
    replace(eventbridge, "_dispatch_to_sqs", _send)


def _invoke_target(
    original: Callable[..., Any],
    target: dict[str, Any],
    event: dict[str, Any],
    rule: dict[str, Any],
    view: Any = None,
) -> None:
    token = _delivery.set((target, rule))
    try:
        original(target, event, rule, view)
    finally:
        _delivery.reset(token)


def _deliver(_original: Callable[..., Any], function_arn: str, payload: str) -> None:
    target, rule = _delivery.get()
    _record(rule, "Invocations")
    function, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if not function or not config:
        _fail(target, rule, payload, "NO_RESOURCE", "The function does not exist.")
    elif not _may_invoke(function_arn, rule):
        _fail(target, rule, payload, "NO_PERMISSIONS", "The function does not allow this rule.")
    else:
        lambda_svc.invoke_async_with_retry(
            lambda_svc._execution_record_for_config(
                function, {**config, "FunctionArn": function_arn}
            ),
            json.loads(payload),
        )


def _send(original: Callable[..., Any], queue: Any, payload: str, *rest: Any) -> None:
    target, rule = _delivery.get()
    _record(rule, "Invocations")
    policy = queues.policy(target["Arn"])
    if policy is None:
        _fail(target, rule, payload, "NO_RESOURCE", "The queue does not exist.")
    elif not _may_send(target["Arn"], policy, rule):
        _fail(target, rule, payload, "NO_PERMISSIONS", "The queue does not allow this rule.")
    else:
        original(queue, payload, *rest)


def _may_send(queue: str, policy: Any, rule: dict[str, Any]) -> bool:
    return queues.service_may(
        policy, service=_EVENTS, action="sqs:SendMessage", resource=queue, source_arn=rule["Arn"]
    )


def _may_invoke(function_arn: str, rule: dict[str, Any]) -> bool:
    function, _, _ = lambda_svc._get_base_func_record_for_ref(function_arn)
    return queues.service_may(
        function["policy"],
        service=_EVENTS,
        action="lambda:InvokeFunction",
        resource=function_arn,
        source_arn=rule["Arn"],
    )


def _fail(
    target: dict[str, Any], rule: dict[str, Any], payload: str, code: str, message: str
) -> None:
    _record(rule, "FailedInvocations")
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if not queue:
        _log.warning("An event of rule %s is lost: %s", rule["Arn"], code)
        return
    attributes = {
        "RULE_ARN": rule["Arn"],
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
        "RETRY_ATTEMPTS": "0",
    }
    allowed = _may_send(queue, queues.policy(queue), rule)
    sent = allowed and queues.send(queue, payload, attributes)
    _record(rule, "InvocationsSentToDlq" if sent else "InvocationsFailedToBeSentToDlq")
    if not sent:
        _log.warning("An event of rule %s is lost: its dead-letter queue refuses it", rule["Arn"])


def _record(rule: dict[str, Any], name: str) -> None:
    bus = rule.get("EventBusName", "default")
    dimensions = {"RuleName": rule["Name"], **({} if bus == "default" else {"EventBusName": bus})}
    cloudwatch.record_metric("AWS/Events", name, 1, "Count", dimensions)
