"""The command in processes of its own: ended in the middle, and two at once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from local.waiting import wait_for
from stripe_settlement_cli.redrive import WORKERS
from tests.cli.conftest import Started
from tests.cli.stand_in import Counts, StandIn

Start = Callable[..., Started]

pytestmark = pytest.mark.xdist_group("cli")


@dataclass(frozen=True)
class Load:
    """Events that wait, and of how many a worker takes its share at once."""

    waiting: int
    share: int

    @property
    def in_flight(self) -> int:
        return WORKERS * self.share

    @property
    def rest(self) -> int:
        return self.waiting - self.in_flight


@pytest.fixture(params=[Load(2 * WORKERS - 1, 1), Load(12 * WORKERS, 10)], ids=["few", "many"])
def load(request: pytest.FixtureRequest) -> Load:
    """A few events, each in an invocation of its own; and many, which share one."""
    made: Load = request.param
    return made


@pytest.fixture
def in_flight(stack: StandIn, start: Start, load: Load) -> Iterator[Started]:
    """A run that holds as many events as it takes at once, none of which gets its response."""
    for _ in range(load.waiting):
        stack.close(stack.failed())
    run = start("--queue", stack.queue_name("OnFailure"))
    wait_for(lambda: stack.invocations() == WORKERS or None, "every worker to hold events")
    yield run
    stack.open_all()
    wait_for(lambda: len(stack.settled()) == load.in_flight or None, "the functions to end")


def press_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    """A terminal signals the whole process group, so also what the process itself has started."""
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()


@pytest.mark.parametrize("interrupt", [press_ctrl_c, terminate])
def test_interrupted_it_finishes_what_is_in_flight_and_releases_the_rest(
    stack: StandIn, load: Load, in_flight: Started, interrupt: Callable[..., None]
) -> None:
    interrupt(in_flight.process)
    in_flight.hear("Interrupted")
    stack.open_all()
    ended = in_flight.end()

    assert ended.code == 130, ended.err
    assert (stack.calls(), len(stack.settled())) == (load.in_flight, load.in_flight)
    assert stack.counts("OnFailure") == Counts(load.rest, 0)
    assert f"Not tried: about {load.rest} messages" in ended.out
    assert "Traceback" not in ended.err


def test_interrupted_twice_it_leaves_at_once_and_loses_nothing(
    stack: StandIn, load: Load, in_flight: Started
) -> None:
    press_ctrl_c(in_flight.process)
    in_flight.hear("Interrupted")
    press_ctrl_c(in_flight.process)
    ended = in_flight.end()

    assert ended.code == 130
    assert stack.counts("OnFailure") == Counts(load.rest, load.in_flight)
    assert "Traceback" not in ended.err


def test_killed_it_loses_nothing(stack: StandIn, load: Load, in_flight: Started) -> None:
    in_flight.process.kill()
    in_flight.end()

    assert stack.counts("OnFailure") == Counts(load.rest, load.in_flight)


def test_two_runs_at_once_settle_and_delete_every_event_once(stack: StandIn, start: Start) -> None:
    events = {stack.failed() for _ in range(25 * WORKERS)}
    for event in events:
        stack.close(event)
    runs = [start("--queue", stack.queue_name("OnFailure")) for _ in range(2)]
    wait_for(lambda: stack.invocations() == 2 * WORKERS or None, "both runs to hold events")
    stack.open_all()
    ends = [run.end() for run in runs]

    assert [end.code for end in ends] == [0, 0], ends
    assert (stack.settled(), stack.calls()) == (events, len(events))
    assert stack.counts("OnFailure") == Counts(0, 0)
