"""`ReservedConcurrentExecutions` of a template's function is in force.

On AWS (CloudFormation Template Reference, "AWS::Lambda::Function") the property reserves
concurrency when the function is created, changes it on an update and gives it back when it is taken
out. Lambda turns away what would run beyond it. MiniStack knows reserved concurrency, and does not
read the property.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import lambda_svc, provisioners
from local.emulator.patching import replace_handler


def apply(_settings: Settings) -> None:
    """Reserves after every creation and update of a function by CloudFormation."""
    replace_handler(
        provisioners._RESOURCE_HANDLERS, "AWS::Lambda::Function", create=_create, update=_update
    )


def _create(
    original: Callable[..., Any], logical_id: str, properties: dict[str, Any], stack: str
) -> Any:
    name, attributes = original(logical_id, properties, stack)
    _reserve(name, properties)
    return name, attributes


def _update(
    original: Callable[..., Any],
    physical_id: str,
    old: dict[str, Any],
    new: dict[str, Any],
    *rest: Any,
) -> Any:
    name, attributes = original(physical_id, old, new, *rest)
    _reserve(name, new)
    return name, attributes


def _reserve(name: str, properties: dict[str, Any]) -> None:
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is None:
        lambda_svc._delete_function_concurrency(name)
    else:
        lambda_svc._put_function_concurrency(name, {"ReservedConcurrentExecutions": int(reserved)})
