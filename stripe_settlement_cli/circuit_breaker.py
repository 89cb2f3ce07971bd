"""When a function is not invoked again in a run: what fails again and again is not the events'."""

import threading
from collections.abc import Sequence
from typing import Final

from stripe_settlement_cli.failure_reasons import FailureReason, Response

FAILURES_IN_A_ROW: Final = 5
"""After so many failures of one function for one reason the cause is not in the events: the
database is still down, say. Every further try may take a minute, and cannot succeed. With four
invocations in flight at once, five means that a second round was in vain too."""


class CircuitBreaker:
    """Counts each function's failed invocations in a row, over all the queues of a run.

    The same failure again and again is not about the events: it ends the run.
    """

    def __init__(self, limit: int = FAILURES_IN_A_ROW) -> None:
        """
        Args:
            limit: failures in a row for one reason after which a function is not invoked again.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._in_a_row: dict[str, tuple[str, int]] = {}  # By function: kind of reason, how often.
        self._open: dict[str, FailureReason] = {}

    def count(self, function_arn: str, responses: Sequence[Response]) -> None:
        """Count an invocation, by its responses: any committed outcome makes it a success. Reasons
        that lie in the events themselves neither count nor interrupt.
        """
        reasons = [each.reason for each in responses if each.reason is not None]
        counting = [each for each in reasons if not each.of_one_event]
        with self._lock:
            if len(reasons) < len(responses):
                self._in_a_row.pop(function_arn, None)
            elif counting:
                self._failed(function_arn, counting[0])

    def _failed(self, function_arn: str, reason: FailureReason) -> None:
        kind, before = self._in_a_row.get(function_arn, (reason.kind, 0))
        count = before + 1 if kind == reason.kind else 1
        self._in_a_row[function_arn] = reason.kind, count
        if count >= self._limit:
            self._open.setdefault(function_arn, reason)

    def open_for(self, function_arn: str) -> FailureReason | None:
        """Return why a function is not invoked again in this run; None while it is."""
        return self._open.get(function_arn)
