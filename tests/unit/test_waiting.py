"""No wait of the suite is for ever, and each says what it waited for."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from local.waiting import WaitedInVain
from tests.support.waiting import join, wait_until_ended, within


def test_block_that_waits_too_long_is_interrupted_and_named() -> None:
    never = threading.Event()

    @within("a word", seconds=0.01)
    def wait() -> None:
        never.wait(60)

    with pytest.raises(WaitedInVain, match=r"0\.01 s in vain for a word"):
        wait()


def test_block_that_ends_in_time_is_never_interrupted() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with within("nothing"):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_thread_that_does_not_end_is_named() -> None:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait, args=(60,))
    thread.start()
    with pytest.raises(WaitedInVain, match="for the server to end"):
        join(thread, "the server", seconds=0.01)
    ending.set()
    join(thread, "the thread")


def test_process_that_does_not_end_is_named() -> None:
    with pytest.raises(WaitedInVain, match=f"for process {os.getpid()} to end"):
        wait_until_ended(os.getpid(), seconds=0.01)
