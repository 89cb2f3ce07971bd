"""Messages out of a failure queue, each handed to its function, deleted once that has committed.

At each moment a message is in its queue or its event's outcome is committed: it is hidden while it
is tried, deleted after a committed outcome and given back otherwise. Whatever ends this process,
what it held comes back by itself. Handing an event in twice is harmless.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stripe_settlement_cli.answers import Answer, read_answer
from stripe_settlement_cli.clients import AWS_ERRORS, HOLD_MARGIN, error_code
from stripe_settlement_cli.mailbox import Mailbox
from stripe_settlement_cli.messages import EventIds, UnreadableMessageError, read_message
from stripe_settlement_cli.reasons import (
    NO_ANSWER,
    NOT_DELETED,
    NOT_OURS,
    UNREADABLE,
    Reason,
    printable,
)
from stripe_settlement_cli.report import Kept, QueueReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_settlement_cli.clients import Client
    from stripe_settlement_cli.deployment import FailureQueue, Function
    from stripe_settlement_cli.mailbox import Counts, Message
    from stripe_settlement_cli.streaks import Streaks

WORKERS: Final = 4
"""Messages in hand at once. A function has a reserved concurrency of 10 by default and live
payments come first: this leaves them more than half of it, and of the database's connections.
Thousands of events that wait after an outage are still a matter of minutes."""

PATIENCE_SECONDS: Final = 60.0
"""How long to wait for messages that somebody else holds. For so long SQS may count messages as
held that are gone ("GetQueueAttributes", Amazon SQS API Reference), and a run elsewhere has to
finish what it has in hand."""


class Progress(Protocol):
    """Is told how a run goes on, from several threads."""

    def waiting(self, count: int) -> None:
        """So many messages are visible in the queue, roughly."""

    def committed(self, ids: EventIds, outcome: str) -> None:
        """An event's outcome is committed."""

    def kept(self, kept: Kept) -> None:
        """A message stays."""

    def held_elsewhere(self, count: int) -> None:
        """The queue looks empty, but somebody else holds messages."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the queues of one run share."""

    sqs: Client
    invoker: Client
    """Its read timeout is longer than the functions' timeouts."""
    progress: Progress
    interrupted: threading.Event
    """Once it is set, no further message is taken."""
    streaks: Streaks


class QueueRedrive:
    """Redrives one queue, once."""

    def __init__(self, queue: FailureQueue, run: Run) -> None:
        """
        Args:
            queue: the queue, and whose events are in it.
            run: what it shares with the others.
        """
        hold_seconds = queue.slowest + HOLD_MARGIN
        self.report: Final = QueueReport(queue.name, comes_back_within=hold_seconds)
        self._queue = queue
        self._run = run
        self._mailbox = Mailbox(run.sqs, queue.url, hold_seconds=hold_seconds)
        self._lock = threading.Lock()
        self._held: dict[str, Message] = {}  # By message id: taken, and not deleted.
        self._empty_since: float | None = None
        self._defect: BaseException | None = None

    def redrive(self) -> QueueReport:
        """Hand in every message that can be taken; what was not committed is visible afterwards.

        Raises:
            KeyboardInterrupt: interrupted a second time. What is in hand comes back by itself.
        """
        # Daemons: a second interruption does not wait for an answer.
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]
        self._guarded(self._announce)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self._guarded(self._count_what_remains)
        self._mailbox.give_back(list(self._held.values()))
        if self._defect is not None:
            raise self._defect
        return self.report

    def _guarded(self, what: Callable[[], None]) -> None:
        """Whatever goes wrong in any thread ends the run, and messages are given back first."""
        try:
            what()
        except AWS_ERRORS as error:
            self.report.unreadable = printable(str(error))
        except BaseException as error:  # noqa: BLE001 - raised again at the end
            self._defect = error

    def _announce(self) -> None:
        self._run.progress.waiting(self._mailbox.counts().visible)

    def _work(self) -> None:
        def until_there_is_none() -> None:
            while (message := self._next()) is not None:
                self._try(message)

        self._guarded(until_there_is_none)

    def _stopping(self) -> bool:
        reasons = filter(None, map(self._run.streaks.given_up, self._queue.functions))
        self.report.stopped = next(reasons, None)
        failed = self.report.unreadable is not None or self._defect is not None
        return failed or self.report.stopped is not None or self._run.interrupted.is_set()

    def _next(self) -> Message | None:
        """A message that was not tried yet; None if there is none, or no more are to be tried."""
        while not self._stopping():
            received = self._mailbox.receive()
            if not received and not self._worth_waiting():
                return None
            for message in received:
                with self._lock:
                    tried = message.message_id in self._held  # And visible since: hidden anew now.
                    self._held[message.message_id] = message
                    if not tried:
                        self._empty_since = None
                if not tried and not self._stopping():
                    return message
        return None

    def _worth_waiting(self) -> bool:
        """Whether somebody else holds messages, who may give them back soon."""
        _, elsewhere = self._count()
        if elsewhere == 0:
            return False
        self._run.progress.held_elsewhere(elsewhere)
        with self._lock:
            now = time.monotonic()
            self._empty_since = self._empty_since or now
            return now - self._empty_since < PATIENCE_SECONDS

    def _count(self) -> tuple[Counts, int]:
        """What SQS counts, and how many of the hidden ones are not hidden by us.

        Other threads take messages meanwhile. Ours are looked at before and timed after, so that
        there may seem to be more elsewhere than there are, never fewer.
        """
        with self._lock:
            ours = [message.hidden_until for message in self._held.values()]
        counts = self._mailbox.counts()
        now = time.monotonic()
        return counts, max(0, counts.hidden - sum(now < moment for moment in ours))

    def _try(self, message: Message) -> None:
        try:
            event = read_message(message.body, message.attributes)
        except UnreadableMessageError as error:
            self._keep(EventIds(), Reason(UNREADABLE, str(error)))
            return
        function = self._queue.function_for(event)
        if function is None:
            name = printable(event.function_arn.rpartition(":")[2])
            self._keep(event.ids, Reason(NOT_OURS, f"it was meant for {name}"))
            return
        answer = self._hand_in(function, event.payload)
        if answer.outcome is not None:
            self._run.streaks.succeeded(function.arn)
            self._finish(message, event.ids, answer.outcome)
        elif answer.reason is not None:
            self._run.streaks.failed(function.arn, answer.reason)
            self._keep(event.ids, answer.reason)

    def _hand_in(self, function: Function, payload: bytes) -> Answer:
        try:
            answer = self._run.invoker.invoke(FunctionName=function.arn, Payload=payload)
            return read_answer(answer["Payload"].read(), failed="FunctionError" in answer)
        except AWS_ERRORS as error:
            code = error_code(error) or NO_ANSWER
            return Answer(reason=Reason(code, printable(str(error))))

    def _finish(self, message: Message, ids: EventIds, outcome: str) -> None:
        deleted = self._mailbox.delete(message)
        with self._lock:
            self.report.outcomes[outcome] += 1
            if deleted:
                del self._held[message.message_id]
        self._run.progress.committed(ids, outcome)
        if not deleted:
            self._keep(ids, Reason(NOT_DELETED, f"its event is {outcome}"))

    def _keep(self, ids: EventIds, reason: Reason) -> None:
        kept = Kept(ids, reason)
        with self._lock:
            self.report.kept.append(kept)
        self._run.progress.kept(kept)

    def _count_what_remains(self) -> None:
        counts, self.report.elsewhere = self._count()
        if self._stopping():
            hidden_by_us = counts.hidden - self.report.elsewhere
            self.report.untried = max(0, counts.visible + hidden_by_us - len(self.report.kept))
