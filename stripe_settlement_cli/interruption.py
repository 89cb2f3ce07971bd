"""Ctrl-C and SIGTERM: the first asks to finish what is in hand, the second ends at once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(announce: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that the first signal sets. A second one raises ``KeyboardInterrupt``.

    Args:
        announce: tells the operator that the first signal was heard.
    """
    interrupted = threading.Event()

    def heard(_signal: int, _frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        announce()

    before = {each: signal.signal(each, heard) for each in _SIGNALS}
    try:
        yield interrupted
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
