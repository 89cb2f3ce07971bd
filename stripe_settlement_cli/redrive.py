"""The command `redrive`: each message of a failure queue to its function, deleted once committed.

Many messages for the function of the EventBridge route share an invocation, and a transaction. Each
is deleted for its own event's outcome, and one that makes the invocation fail is found by taking
them one by one from then on.

At each moment a message is in its queue or its event's outcome is committed: it is hidden while it
is in flight, deleted after a committed outcome and released otherwise. Whatever ends this process,
what it held comes back by itself. Invoking a function twice with one event is harmless.
"""

import signal
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from rich.console import Console

from stripe_settlement_cli.aws import AWS_ERRORS, VISIBILITY_MARGIN, Client, Clients
from stripe_settlement_cli.circuit_breaker import CircuitBreaker
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.deployment import (
    Deployment,
    DeploymentError,
    FailureQueue,
    Function,
    OnSale,
)
from stripe_settlement_cli.event_function import HANDLER, invoke, invoke_with_many
from stripe_settlement_cli.failure_reasons import (
    COMES_BACK,
    MISSING_FUNCTION,
    NOT_DELETED,
    NOT_OURS,
    UNREADABLE,
    FailureReason,
    Response,
    printable,
)
from stripe_settlement_cli.queue_consumer import (
    Counts,
    EventIds,
    Message,
    QueueConsumer,
    UnreadableMessageError,
    WaitingEvent,
    read_message,
)
from stripe_settlement_cli.report import (
    Anomaly,
    QueueProgress,
    QueueReport,
    Retained,
    Waiting,
    console,
    counted,
    print_dry_run,
    print_summary,
    say,
)

WORKERS: Final = 4
"""Invocations in flight at once. A function has a reserved concurrency of 10 by default and live
payments come first: this leaves them more than half of it, and of the database's connections.
Thousands of events that wait after an outage are still a matter of minutes."""

PATIENCE_SECONDS: Final = 60.0
"""How long to wait for messages that another consumer holds. For so long SQS may count messages as
held that are gone ("GetQueueAttributes", Amazon SQS API Reference), and another run has to finish
what it has in flight."""

_DRY_RUN_VISIBILITY_TIMEOUT: Final = 60
"""Seconds a message stays hidden while the rest is listed. It is released before; one that comes
back earlier, because there are thousands, is known by its id."""

_LISTED: Final = 10_000
"""Messages of a queue that a dry run lists, at most: so it ends, however fast more arrive."""

_LISTING_SECONDS: Final = _DRY_RUN_VISIBILITY_TIMEOUT - 10.0
"""For how long it lists, at most: then those that it has read come back and are read again."""


def redrive(asked: Namespace) -> int:
    """Redrive the failure queues of a stack, or list what waits; return the exit code.

    Args:
        asked: what the command line says.
    """
    try:
        context = Context(asked)
        queues = context.deployment.only(asked.queue)
    except (DeploymentError, *AWS_ERRORS) as error:
        say(console(stderr=True), str(error), "red")
        return ExitCode.NOT_BEGUN
    out, err, clients = context.out, context.err, context.clients
    deployment = context.deployment
    _say_what_was_not_looked_at(err, deployment)
    sqs = clients.client("sqs")
    with _signals(err) as interrupted:
        if asked.dry_run:
            reports = [dry_run(queue, sqs, interrupted) for queue in queues]
        else:
            reports = _redrive(queues, clients, interrupted, err)
    attention = [] if asked.queue else _attention(deployment, clients)
    if asked.dry_run:
        print_dry_run(out, reports, attention)
    else:
        print_summary(out, reports, attention, interrupted=interrupted.is_set())
    well = not attention and all(report.well for report in reports)
    code = ExitCode.DONE if well else ExitCode.REMAINS
    code = ExitCode.INTERRUPTED if interrupted.is_set() else code
    documents = [report.document() for report in reports]
    context.print_document("redrive", code, queues=documents, attention=attention)
    return code


def _attention(deployment: Deployment, clients: Clients) -> list[str]:
    """Return what is wrong beside the messages of the failure queues: what was deleted, queues that
    may be ours, and an on-sale queue that is not empty.
    """
    sqs = clients.client("sqs")
    lines = [f"Missing: {missing}. {COMES_BACK}" for missing in deployment.missing]
    lines += [
        f"{url.rpartition('/')[2]} holds {holds}, and was not redriven: whether it is ours is not "
        "known without cloudformation:GetTemplate. Ask for the permissions of grant_redrive."
        for url in deployment.unattributed
        if (holds := _held(sqs, url))
    ]
    return lines + on_sale_queues(deployment, clients)


def on_sale_queues(deployment: Deployment, clients: Clients) -> list[str]:
    """Return what each on-sale queue holds that is not empty, and whether it is consumed."""
    return [
        f"{on_sale.queue.physical_id.rpartition('/')[2]} holds {holds}; "
        f"{_consumed(on_sale, clients)}"
        for on_sale in deployment.on_sale
        if (holds := _held(clients.client("sqs"), on_sale.queue.physical_id))
    ]


def _held(sqs: Client, url: str) -> str:
    """Return how much a queue holds, visible or not; '' if nothing."""
    try:
        counts = QueueConsumer(sqs, url, visibility_timeout=0).counts()
    except AWS_ERRORS:
        return "an unknown number of messages"
    return counted(total) if (total := counts.visible + counts.hidden) else ""


def _consumed(on_sale: OnSale, clients: Clients) -> str:
    try:
        state = on_sale.not_consumed(clients.client("lambda"))
    except AWS_ERRORS:
        return "whether the function consumes it is not known. Ask for grant_redrive."
    if state is None:
        return "the function consumes it, and what fails comes again after its visibility timeout."
    if state == "not there":
        return f"the mapping by which the function consumes it is not there. {COMES_BACK}"
    return f"the function does not consume it, its mapping is {state}: {on_sale.enable}"


def _redrive(
    queues: Sequence[FailureQueue], clients: Clients, interrupted: threading.Event, err: Console
) -> list[QueueReport]:
    slowest = max((queue.slowest for queue in queues), default=0)
    invoker = clients.invoker(function_timeout=slowest, at_once=WORKERS)
    run = Run(clients.client("sqs"), invoker, interrupted, CircuitBreaker())
    reports: list[QueueReport] = []
    try:
        for queue in queues:
            progress = QueueProgress(err, queue.name)
            with progress.bar:
                work = QueueRedrive(queue, run, progress)
                reports.append(work.report)
                work.redrive()
    except KeyboardInterrupt:
        say(
            err,
            "Left at once. What was in flight is visible again within "
            f"{reports[-1].visibility_timeout} s; nothing is lost.",
        )
    return reports


def dry_run(queue: FailureQueue, sqs: Client, interrupted: threading.Event) -> QueueReport:
    """Return what is visible in a queue, oldest first; every message is released, none invoked.

    Args:
        queue: the queue.
        sqs: a client of SQS.
        interrupted: once set, the list ends.
    """
    report = QueueReport(queue.name, visibility_timeout=_DRY_RUN_VISIBILITY_TIMEOUT)
    consumer = QueueConsumer(sqs, queue.url, visibility_timeout=_DRY_RUN_VISIBILITY_TIMEOUT)
    held: dict[str, Message] = {}
    until = time.monotonic() + _LISTING_SECONDS
    try:
        while not interrupted.is_set() and (received := consumer.receive(10)):
            fresh = [message for message in received if message.message_id not in held]
            held.update((message.message_id, message) for message in received)
            report.waiting += map(_waiting, fresh)
            if len(held) >= _LISTED or time.monotonic() > until:
                report.untried = consumer.counts().visible
                break
        report.held_by_another_consumer = max(0, consumer.counts().hidden - len(held))
    except AWS_ERRORS as error:
        report.unreadable = printable(str(error))
    finally:
        consumer.release(list(held.values()))
    report.waiting.sort(key=lambda each: each.sent_at)
    return report


def _waiting(message: Message) -> Waiting:
    try:
        event = read_message(message.body, message.attributes)
    except UnreadableMessageError as error:
        return Waiting(EventIds(), message.sent_at, str(FailureReason(UNREADABLE, str(error))))
    return Waiting(event.ids, message.sent_at, event.why)


@dataclass(frozen=True)
class Run:
    """What the queues of one run share."""

    sqs: Client
    invoker: Client
    """Its read timeout is longer than the functions' timeouts."""
    interrupted: threading.Event
    """Once it is set, no further message is received."""
    circuit_breaker: CircuitBreaker


class QueueRedrive:
    """Redrives one queue, once."""

    def __init__(self, queue: FailureQueue, run: Run, progress: QueueProgress) -> None:
        """
        Args:
            queue: the queue, and whose events are in it.
            run: what it shares with the others.
            progress: is told how it goes on, from several threads.
        """
        visibility_timeout = queue.slowest + VISIBILITY_MARGIN
        self.report: Final = QueueReport(queue.name, visibility_timeout=visibility_timeout)
        self._queue = queue
        self._run = run
        self._progress = progress
        self._consumer = QueueConsumer(run.sqs, queue.url, visibility_timeout=visibility_timeout)
        self._lock = threading.Lock()
        self._held: dict[str, Message] = {}  # By message id: received, and not deleted.
        self._empty_since: float | None = None
        self._defect: BaseException | None = None
        self._none_hidden = False
        self._at_once = 1

    def redrive(self) -> QueueReport:
        """Invoke the function of every message that can be received, and return what came of it.

        What was not committed is visible afterwards.

        Raises:
            KeyboardInterrupt: interrupted a second time. What is in flight comes back by itself.
        """
        # Daemons: a second interruption does not wait for a response.
        workers = [
            threading.Thread(target=self._guarded, args=(self._work,), daemon=True)
            for _ in range(WORKERS)
        ]
        self._guarded(self._begin)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self._guarded(self._count_what_remains)
        self._consumer.release(list(self._held.values()))
        if self._defect is not None:
            raise self._defect
        return self.report

    def _guarded(self, what: Callable[[], None]) -> None:
        """Whatever goes wrong in any thread ends the run, and messages are released first."""
        try:
            what()
        except AWS_ERRORS as error:
            self.report.unreadable = printable(str(error))
        except BaseException as error:  # noqa: BLE001 - raised again at the end
            self._defect = error

    def _begin(self) -> None:
        counts = self._consumer.counts()
        self._none_hidden = counts.hidden == 0
        self._progress.begin(counts.visible)
        if {each.handler for each in self._queue.functions.values()} == {HANDLER}:
            self._at_once = max(1, counts.visible // WORKERS)

    def _work(self) -> None:
        messages = self._next(all_ours=self._none_hidden)
        while messages:
            self._try(messages)
            messages = self._next()

    def _stopping(self) -> bool:
        reasons = filter(None, map(self._run.circuit_breaker.open_for, self._queue.functions))
        self.report.stopped = next(reasons, None)
        failed = self.report.unreadable is not None or self._defect is not None
        return failed or self.report.stopped is not None or self._run.interrupted.is_set()

    def _next(self, *, all_ours: bool = False) -> list[Message]:
        """Return messages that were not tried yet; none if no more are to be tried.

        Args:
            all_ours: whether no other consumer holds any, counted before the receive: what is
                released in between is received.
        """
        while not self._stopping():
            received = self._consumer.receive(self._at_once)
            if not received:
                held_by_another_consumer = 0 if all_ours else self._count()[1]
                if all_ours or not self._worth_waiting(held_by_another_consumer):
                    return []
                all_ours = held_by_another_consumer == 0
            fresh = [message for message in received if self._hold(message)]
            if fresh and not self._stopping():
                return fresh
        return []

    def _hold(self, message: Message) -> bool:
        """Remember the newest receipt of a message; return whether it was not tried yet."""
        with self._lock:
            before = self._held.get(message.message_id)
            if before is None or before.receive_count < message.receive_count:
                self._held[message.message_id] = message
            if before is None:
                self._empty_since = None
            return before is None

    def _worth_waiting(self, held_by_another_consumer: int) -> bool:
        """Return whether another consumer may release soon what it holds; True if there is none."""
        if not held_by_another_consumer:
            return True
        self._progress.held_by_another_consumer(held_by_another_consumer)
        with self._lock:
            now = time.monotonic()
            self._empty_since = self._empty_since or now
            return now - self._empty_since < PATIENCE_SECONDS

    def _count(self) -> tuple[Counts, int]:
        """Return what SQS counts, and how many of the hidden ones are not hidden by us.

        Other threads receive messages meanwhile. Ours are looked at before and timed after, so that
        another consumer may seem to hold more than it does, never fewer.
        """
        with self._lock:
            ours = [message.hidden_until for message in self._held.values()]
        counts = self._consumer.counts()
        now = time.monotonic()
        return counts, max(0, counts.hidden - sum(now < moment for moment in ours))

    def _try(self, messages: Sequence[Message]) -> None:
        by_function: dict[Function, list[tuple[Message, WaitingEvent]]] = {}
        for message in messages:
            try:
                event = read_message(message.body, message.attributes)
            except UnreadableMessageError as error:
                self._retain(EventIds(), FailureReason(UNREADABLE, str(error)))
                continue
            function = self._queue.function_for(event)
            if function is None:
                name = printable(event.function_arn.rpartition(":")[2])
                self._retain(event.ids, FailureReason(NOT_OURS, f"it was meant for {name}"))
            else:
                by_function.setdefault(function, []).append((message, event))
        for function, tried in by_function.items():
            self._deliver(function, tried)

    def _deliver(self, function: Function, tried: list[tuple[Message, WaitingEvent]]) -> None:
        shared = len(tried) > 1 and not function.missing
        responses: list[Response] | None
        if shared:
            responses = invoke_with_many(
                self._run.invoker,
                function.arn,
                [event.payload for _, event in tried],
                [event.ids.event_id for _, event in tried],
            )
        else:
            responses = [self._invoke(function, event) for _, event in tried]
        if responses is None:
            self._put_back([message for message, _ in tried])
            return
        self._run.circuit_breaker.count(function.arn, responses)
        again = []
        for (message, event), response in zip(tried, responses, strict=True):
            if response.outcome is not None:
                self._finish(message, event.ids, response)
            elif response.reason is not None and shared and not response.reason.of_one_event:
                again.append(message)  # Another one may have used up the time, or hold a lock.
            elif response.reason is not None:
                self._retain(event.ids, response.reason)
        self._put_back(again)

    def _put_back(self, messages: Sequence[Message]) -> None:
        """Release messages as if they had not been received; they come again, one by one."""
        if not messages:
            return
        self._at_once = 1
        with self._lock:
            newest = [self._held.pop(message.message_id) for message in messages]
        self._consumer.release(newest)

    def _invoke(self, function: Function, event: WaitingEvent) -> Response:
        if function.missing:
            return Response(reason=FailureReason(MISSING_FUNCTION, function.name))
        return invoke(self._run.invoker, function.arn, event.payload, event.ids.event_id)

    def _finish(self, message: Message, ids: EventIds, response: Response) -> None:
        outcome = str(response.outcome)
        with self._lock:
            newest = self._held[message.message_id]
        deleted = self._consumer.delete(newest)
        with self._lock:
            self.report.outcomes[outcome] += 1
            if outcome == "anomaly":
                order_id = response.order_id or ids.order_id
                named = replace(ids, order_id=order_id)
                self.report.anomalies.append(Anomaly(named, response.anomaly))
            if deleted:
                del self._held[message.message_id]
        self._progress.committed(outcome)
        if not deleted:
            self._retain(ids, FailureReason(NOT_DELETED, f"its event is {outcome}"))

    def _retain(self, ids: EventIds, reason: FailureReason) -> None:
        retained = Retained(ids, reason)
        with self._lock:
            self.report.retained.append(retained)
        self._progress.retained(retained)

    def _count_what_remains(self) -> None:
        counts, self.report.held_by_another_consumer = self._count()
        if self._stopping():
            ours = counts.hidden - self.report.held_by_another_consumer
            self.report.untried = max(0, counts.visible + ours - len(self.report.retained))


def _say_what_was_not_looked_at(err: Console, deployment: Deployment) -> None:
    if deployment.not_looked_at:
        names = printable(", ".join(deployment.not_looked_at))
        say(
            err,
            f"Not looked at, because these credentials may not: {names}. With the permissions of "
            "grant_redrive, everything of Stripe settlement was looked at.",
            "dim",
        )


@contextmanager
def _signals(err: Console) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets: finish what is in flight. A second one
    raises ``KeyboardInterrupt``.
    """
    interrupted = threading.Event()

    def received(_signal: int, _frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        text = "Interrupted: finishing what is in flight, releasing the rest. Again to leave now."
        say(err, text, "yellow")

    before = {each: signal.signal(each, received) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
