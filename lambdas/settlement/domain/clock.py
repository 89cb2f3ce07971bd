"""The one clock: aware wall time for what is written, and a deadline for what is waited for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Monotonic = Callable[[], float]


class LambdaContext(Protocol):
    """What is used of the context object ("AWS Lambda context object in Python")."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds before Lambda ends the invocation."""


def utc_now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


class Deadline:
    """The moment by which a call must have given its answer."""

    ANSWER_RESERVE_SECONDS = 0.5
    """Kept back for logs, metrics and the answer itself."""

    def __init__(self, seconds: float, *, monotonic: Monotonic = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = monotonic() + seconds

    @classmethod
    def of_invocation(cls, context: LambdaContext) -> Deadline:
        """Return the deadline of a Lambda invocation, with the reserve for the answer taken off."""
        seconds = context.get_remaining_time_in_millis() / 1000
        return cls(seconds - cls.ANSWER_RESERVE_SECONDS)

    def remaining(self) -> float:
        """Seconds left; negative once the deadline has passed."""
        return self._at - self._monotonic()
