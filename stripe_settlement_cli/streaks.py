"""When to stop: the same failure, again and again, is not about the events."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_settlement_cli.reasons import Reason

FAILURES_IN_A_ROW = 5
"""After so many failures of one function for one reason the cause is not in the events: the
database is still down, say. Every further try may take a minute, and cannot succeed. With four
messages in hand at once, five means that a second round was in vain too."""


class Streaks:
    """Counts each function's failures in a row, over all the queues of a run."""

    def __init__(self, limit: int = FAILURES_IN_A_ROW) -> None:
        """
        Args:
            limit: failures in a row for one reason after which a function is given up.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._streaks: dict[str, tuple[str, int]] = {}  # By function: kind of reason, how often.
        self._given_up: dict[str, Reason] = {}

    def succeeded(self, function_arn: str) -> None:
        """An outcome was committed: whatever there was, it is over."""
        with self._lock:
            self._streaks.pop(function_arn, None)

    def failed(self, function_arn: str, reason: Reason) -> None:
        """An event failed. A reason that lies in the event itself neither counts nor interrupts."""
        if reason.of_one_event:
            return
        with self._lock:
            kind, before = self._streaks.get(function_arn, (reason.kind, 0))
            count = before + 1 if kind == reason.kind else 1
            self._streaks[function_arn] = reason.kind, count
            if count >= self._limit:
                self._given_up.setdefault(function_arn, reason)

    def given_up(self, function_arn: str) -> Reason | None:
        """Why a function gets no further event in this run; None while it does."""
        return self._given_up.get(function_arn)
