"""A rule can be tagged on a bus whose name holds slashes, as those of partners do.

On AWS (EventBridge API Reference, "TagResource") any rule can. MiniStack splits the rule's ARN at
every slash, does not find the rule, and a stack with such a tag fails to deploy.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import eventbridge
from local.emulator.patching import replace


def apply(_settings: Settings) -> None:
    """Find rules by their whole ARN first."""
    replace(eventbridge, "_resolve_taggable_events_arn", _resolve)


def _resolve(original: Callable[..., Any], arn: str) -> Any:
    if any(rule["Arn"] == arn for rule in eventbridge._rules.values()):
        return arn, None
    return original(arn)
