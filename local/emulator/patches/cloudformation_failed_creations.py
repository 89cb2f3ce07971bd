"""A custom resource whose creation failed is deleted in the rollback, as one that was created.

On AWS (CloudFormation User Guide, "Custom resource request objects") the rollback sends a deletion
with the physical id that the failed response carried: the provider may have created something all
the same. MiniStack forgets such a resource, and whatever was created for it stays.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import custom_resource, provisioners, stacks
from local.emulator.patching import replace

_failed: dict[tuple[str, str], dict[str, Any]] = {}
"""The records to be deleted, by the stack's id and the logical id."""


def apply(_settings: Settings) -> None:
    """Let rollbacks delete what failed."""
    replace(custom_resource, "deliver_response", _deliver)
    replace(provisioners, "_custom_resource_create", _create)
    replace(stacks, "_roll_back_operation", _roll_back)


def _deliver(original: Callable[..., bool], token: str, response: dict[str, Any]) -> bool:
    if response.get("Status") == "FAILED":
        record = {"PhysicalResourceId": response.get("PhysicalResourceId", "")}
        _failed[response["StackId"], response["LogicalResourceId"]] = record
    return original(token, response)


def _create(
    original: Callable[..., Any], logical_id: str, props: Any, stack_name: str, type_: str
) -> Any:
    try:
        return original(logical_id, props, stack_name, type_)
    except Exception:
        key = (provisioners._cr_stack_id(stack_name), logical_id)
        _failed.setdefault(key, {}).update(ResourceType=type_, Properties=props, Attributes={})
        raise


async def _roll_back(
    original: Callable[..., Any],
    stack_name: str,
    stack_id: str,
    stack: dict[str, Any],
    operation: dict[str, Any],
    *rest: Any,
) -> None:
    logical_id = operation.get("failed_logical_id")
    record = _failed.pop((stack_id, logical_id or ""), None)
    if record and "ResourceType" in record and operation.get("failed_update") is None:
        stack.setdefault("_resources", {})[logical_id] = record
        operation["created"].append(logical_id)
    await original(stack_name, stack_id, stack, operation, *rest)
