"""The command in processes of its own: ended in the middle, and two at once."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from local.waiting import wait_for
from stripe_settlement_cli.redrive import WORKERS
from tests.cli.stand_in import Counts

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.cli.stand_in import StandIn

    Start = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.xdist_group("operations")

EVENTS = 2 * WORKERS


@pytest.fixture
def in_hand(stack: StandIn, start: Start) -> Iterator[subprocess.Popen[str]]:
    """A run that holds as many events as it takes at once, none of which gets its answer."""
    for _ in range(EVENTS):
        stack.close(stack.failed())
    process = start("--queue", stack.queue_name("OnFailure"))
    wait_for(lambda: stack.calls() == WORKERS or None, "every worker to hold an event")
    yield process
    stack.open_all()
    wait_for(lambda: len(stack.settled()) == WORKERS or None, "the functions to end")


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """A terminal signals the whole process group, so also what the process itself has started."""
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


def hear(process: subprocess.Popen[str], text: str) -> None:
    """Wait until the process has said something on stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


@pytest.mark.parametrize("interrupt", [press_ctrl_c, terminate])
def test_interrupted_it_finishes_what_is_in_hand_and_gives_the_rest_back(
    stack: StandIn, in_hand: subprocess.Popen[str], interrupt: Callable[..., None]
) -> None:
    interrupt(in_hand)
    hear(in_hand, "Interrupted")
    stack.open_all()
    out, err = in_hand.communicate()

    assert in_hand.returncode == 130, err
    assert (stack.calls(), len(stack.settled())) == (WORKERS, WORKERS)
    assert stack.counts("OnFailure") == Counts(EVENTS - WORKERS, 0)
    assert f"About {EVENTS - WORKERS} were not tried" in out, out + err
    assert "Traceback" not in err


def test_interrupted_twice_it_leaves_at_once_and_loses_nothing(
    stack: StandIn, in_hand: subprocess.Popen[str]
) -> None:
    press_ctrl_c(in_hand)
    hear(in_hand, "Interrupted")
    press_ctrl_c(in_hand)
    _, err = in_hand.communicate()

    assert in_hand.returncode == 130
    assert stack.counts("OnFailure") == Counts(EVENTS - WORKERS, WORKERS)
    assert "Traceback" not in err


def test_killed_it_loses_nothing(stack: StandIn, in_hand: subprocess.Popen[str]) -> None:
    in_hand.kill()
    in_hand.communicate()

    assert stack.counts("OnFailure") == Counts(EVENTS - WORKERS, WORKERS)


def test_two_runs_at_once_settle_and_delete_every_event_once(stack: StandIn, start: Start) -> None:
    events = {stack.failed() for _ in range(40)}
    for event in events:
        stack.close(event)
    runs = [start("--queue", stack.queue_name("OnFailure")) for _ in range(2)]
    wait_for(lambda: stack.calls() == 2 * WORKERS or None, "both runs to hold events")
    stack.open_all()
    ends = [run.communicate() for run in runs]

    assert [run.returncode for run in runs] == [0, 0], ends
    assert (stack.settled(), stack.calls()) == (events, len(events))
    assert stack.counts("OnFailure") == Counts(0, 0)
