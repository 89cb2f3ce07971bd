"""Waits of tests: each is bounded, and says what it waited for."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from local.waiting import WaitedInVain

SECONDS = 60.0
"""Longer than anything takes on a busy machine, and less than anyone waits for a test."""

INSTALLATION_SECONDS = 300.0
"""The same for what installs packages or synthesises an app, and so starts processes of its own."""


@contextmanager
def within(what: str, *, seconds: float = SECONDS) -> Iterator[None]:
    """Bound whatever the block waits for: a process, a line of output, a lock.

    The test's own thread alone can do this: it is interrupted by a signal.

    Raises:
        WaitedInVain: the block took longer.
    """

    def give_up(*_: object) -> None:
        raise WaitedInVain(f"Waited {seconds:g} s in vain for {what}.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def join(thread: threading.Thread, what: str, *, seconds: float = SECONDS) -> None:
    """Wait for a thread to end.

    Raises:
        WaitedInVain: it did not.
    """
    thread.join(seconds)
    if thread.is_alive():
        raise WaitedInVain(f"Waited {seconds:g} s in vain for {what} to end.")


def wait_until_ended(*pids: int, seconds: float = SECONDS) -> None:
    """Wait for processes of another parent, which cannot be waited for as children are.

    Raises:
        WaitedInVain: one of them did not end.
    """
    for pid in pids:
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([ended], [], [], seconds)[0]:
                raise WaitedInVain(f"Waited {seconds:g} s in vain for process {pid} to end.")
        finally:
            os.close(ended)
