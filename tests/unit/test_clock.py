"""Time is aware, and a deadline leaves room for the answer."""

from __future__ import annotations

from datetime import timedelta

from settlement.domain.clock import Deadline, utc_now
from tests.support.invocations import AnyContext


def test_the_present_is_aware() -> None:
    assert utc_now().utcoffset() == timedelta(0)


def test_a_deadline_comes_nearer_and_passes() -> None:
    now = 100.0
    deadline = Deadline(2.0, monotonic=lambda: now)
    assert deadline.remaining() == 2.0
    now = 101.5
    assert deadline.remaining() == 0.5
    now = 103.0
    assert deadline.remaining() == -1.0


def test_an_invocation_keeps_half_a_second_for_its_answer() -> None:
    deadline = Deadline.of_invocation(AnyContext(remaining_seconds=25.0))
    assert deadline.remaining() <= 24.5


def test_an_invocation_that_is_ending_has_no_time_left() -> None:
    assert Deadline.of_invocation(AnyContext(remaining_seconds=0.4)).remaining() < 0
