"""How a behaviour takes the place of a function of MiniStack."""

import functools
from collections.abc import Callable
from typing import Any


def replace(module: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Put `replacement` in the place of `module.name`. Its first argument is what stood there.

    Raises `AttributeError` when nothing stood there: then it is another MiniStack.
    """
    setattr(module, name, functools.partial(replacement, getattr(module, name)))


def replace_handler(
    handlers: dict[str, dict[str, Any]], resource_type: str, **replacements: Callable[..., Any]
) -> None:
    """Do the same to what CloudFormation calls to create, update or delete a resource.

    Raises `KeyError` when there is no such handler.
    """
    handler = handlers[resource_type]
    for operation, replacement in replacements.items():
        handler[operation] = functools.partial(replacement, handler[operation])
