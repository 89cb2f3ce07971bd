"""Waiting for something that is bound to happen, and saying what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

_POLL_SECONDS: Final = 0.02
_T = TypeVar("_T")


class WaitedInVain(RuntimeError):
    """Something did not happen in time; the message says what."""


def wait_for(ask: Callable[[], _T | None], what: str, *, seconds: float = 60.0) -> _T:
    """Return what `ask` returns, as soon as it is something.

    Raises:
        WaitedInVain: nothing came within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None:
        if time.monotonic() > deadline:
            raise WaitedInVain(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(_POLL_SECONDS)
    return answer
