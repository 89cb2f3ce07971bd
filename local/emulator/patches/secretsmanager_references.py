"""`Ref` of a secret is its ARN.

On AWS (CloudFormation Template Reference, "AWS::SecretsManager::Secret", return values) `Ref` gives
the secret's ARN, and CDK builds policies and environment variables on that. MiniStack gives its
name. Its own functions are kept for the work and go on finding the secret by name.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import provisioners, secretsmanager
from local.emulator.patching import replace_handler


def apply(_settings: Settings) -> None:
    """Make the ARN the physical id of a secret."""
    replace_handler(
        provisioners._RESOURCE_HANDLERS,
        "AWS::SecretsManager::Secret",
        create=_create,
        update=_update,
        delete=_delete,
    )


def _create(original: Callable[..., Any], *arguments: Any) -> Any:
    _, attributes = original(*arguments)
    return attributes["Arn"], attributes


def _update(original: Callable[..., Any], physical_id: str, *rest: Any) -> Any:
    _, attributes = original(_name(physical_id), *rest)
    return attributes["Arn"], attributes


def _delete(original: Callable[..., Any], physical_id: str, properties: dict[str, Any]) -> None:
    original(_name(physical_id), properties)


def _name(physical_id: str) -> str:
    """Return the name that the ARN stands for, or the ARN if the secret is gone."""
    name, _ = secretsmanager._resolve(physical_id)
    return name or physical_id
