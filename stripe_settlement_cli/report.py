"""What became of the messages of a run, and how the operator sees it: while it goes on, and after.

stdout is the summary's; what moves or passes goes to stderr.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from stripe_settlement_cli.failure_reasons import COMMITTED, NOT_DELETED, FailureReason
from stripe_settlement_cli.queue_consumer import EventIds

_EXAMPLES: Final = 20
"""Events named for one reason; the others are counted. `--dry-run` lists them all."""

_WIDE: Final = 160
"""Columns where there is no terminal to ask: an id that is folded cannot be searched for."""


@dataclass(frozen=True, slots=True)
class Retained:
    """A message that is still in its queue after it was tried."""

    ids: EventIds
    reason: FailureReason


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits, as a dry run shows it."""

    ids: EventIds
    sent_at: float
    """When it was put into the queue, in seconds since the epoch."""
    why: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A payment that does not fit its order: its event is done, the payment is not."""

    ids: EventIds
    kind: str | None
    """None where the function does not name it."""


@dataclass(slots=True)
class QueueReport:
    """What became of one queue's messages. It only grows while the run goes on."""

    queue: str
    """Its name."""
    visibility_timeout: int = 0
    """Seconds after which a message is visible again that nobody released."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Committed, by outcome."""
    retained: list[Retained] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    """Of a dry run."""
    anomalies: list[Anomaly] = field(default_factory=list)
    untried: int = 0
    """Messages left alone because the run stopped early, or not listed; roughly."""
    held_by_another_consumer: int = 0
    """Roughly."""
    stopped: FailureReason | None = None
    """Why the run stopped before the queue was empty."""
    unreadable: str | None = None
    """Why the queue itself could not be read."""

    @property
    def tried(self) -> int:
        """Messages whose function was invoked, or that were turned down before that."""
        not_deleted = sum(each.reason.kind == NOT_DELETED for each in self.retained)
        return sum(self.outcomes.values()) + len(self.retained) - not_deleted

    @property
    def empty(self) -> bool:
        """Whether nothing of the queue remains."""
        remains = self.retained or self.waiting or self.untried or self.held_by_another_consumer
        return not remains and self.stopped is None and self.unreadable is None

    @property
    def well(self) -> bool:
        """Whether nothing of the queue remains, neither in it nor for the operator to decide."""
        return self.empty and not self.outcomes["anomaly"]

    def document(self) -> dict[str, Any]:
        """Return what `--json` says of the queue: ids, counts and reasons."""
        return {
            "queue": self.queue,
            "outcomes": dict(self.outcomes),
            "retained": [
                {**asdict(each.ids), "kind": each.reason.kind, "reason": each.reason.text}
                for each in self.retained
            ],
            "anomalies": [{**asdict(each.ids), "kind": each.kind} for each in self.anomalies],
            "waiting": [
                {**asdict(each.ids), "sent_at": each.sent_at, "why": each.why}
                for each in self.waiting
            ],
            "untried": self.untried,
            "held_by_another_consumer": self.held_by_another_consumer,
            "stopped": None if self.stopped is None else str(self.stopped),
            "unreadable": self.unreadable,
        }


def counted(count: int, noun: str = "message") -> str:
    """Return a number with its noun: `1 message`, `2 messages`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def console(*, stderr: bool) -> Console:
    """Return where to print: wide enough for an id where there is no terminal."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = _WIDE
    return made


def say(console: Console, text: str, style: str = "") -> None:
    """Print one line as it is: no markup in it, not folded."""
    console.print(escape(text), style=style, highlight=False, soft_wrap=True)


class QueueProgress:
    """Shows one queue's progress; on anything but a terminal only what was retained."""

    def __init__(self, console: Console, queue: str) -> None:
        """
        Args:
            console: of stderr.
            queue: its name, shown in front.
        """
        self.bar: Final = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._console = console
        self._task = self.bar.add_task(escape(queue), total=None, text="")
        self._queue = queue
        self._lock = threading.Lock()
        self._total = self._done = 0
        self._counts: Counter[str] = Counter()

    def begin(self, visible: int) -> None:
        """Print how many messages are visible in the queue, roughly."""
        self._total = visible
        self.bar.update(self._task, total=visible or None)
        say(self._console, f"{self._queue}: about {counted(visible)} waiting", "bold")

    def committed(self, outcome: str) -> None:
        """Count an event whose outcome is committed."""
        self._count(_words(outcome))

    def retained(self, retained: Retained) -> None:
        """Print and count a message that stays."""
        say(self._console, f"retained {described(retained.ids)}: {retained.reason}", "yellow")
        self._count("retained")

    def held_by_another_consumer(self, count: int) -> None:
        """Show that the queue looks empty while another consumer holds messages."""
        text = f"about {counted(count)} held by another consumer; waiting"
        self.bar.update(self._task, text=text)

    def _count(self, word: str) -> None:
        with self._lock:
            self._done += 1
            self._counts[word] += 1
            text = " · ".join(f"{word} {count}" for word, count in self._counts.items())
            total = max(self._total, self._done)
            self.bar.update(self._task, completed=self._done, total=total, text=text)


def described(ids: EventIds) -> str:
    """Return an event, by what may be shown of it."""
    order = f"order {ids.order_id}" if ids.order_id else "no order id"
    return f"{ids.event_id or 'no event id'}  {ids.event_type or 'no type'}  {order}"


def print_summary(
    console: Console,
    reports: Sequence[QueueReport],
    attention: Sequence[str] = (),
    *,
    interrupted: bool,
) -> None:
    """Print what became of each queue's messages.

    Args:
        console: of stdout.
        reports: of the queues that were worked on.
        attention: lines about what is wrong beside the messages.
        interrupted: whether the operator ended the run.
    """
    console.print(_table(reports))
    for report in reports:
        for line in (*_retained(report), *_remarks(report, interrupted=interrupted)):
            say(console, line)
    for line in (*_anomalies(reports), *attention):
        say(console, line)
    say(console, _verdict(reports, attention, interrupted=interrupted), "bold")


def print_dry_run(
    console: Console, reports: Sequence[QueueReport], attention: Sequence[str] = ()
) -> None:
    """Print what waits, oldest first.

    Args:
        console: of stdout.
        reports: of the queues that were looked at.
        attention: lines about what is wrong beside the messages.
    """
    now = time.time()
    for report in reports:
        table = Table(
            title=f"{escape(report.queue)}: {counted(len(report.waiting))}", title_justify="left"
        )
        for heading in ("event", "type", "order", "waits for", "why it is here"):
            table.add_column(heading, overflow="fold")
        for each in report.waiting:
            ids = (each.ids.event_id, each.ids.event_type, each.ids.order_id)
            cells = (*(value or "-" for value in ids), age(now - each.sent_at), each.why)
            table.add_row(*map(escape, cells))
        if report.waiting:
            console.print(table)
        for line in _remarks(report, interrupted=False):
            say(console, line)
    for line in attention:
        say(console, line)
    waiting = sum(len(report.waiting) for report in reports)
    verb = "waits" if waiting == 1 else "wait"
    queues = counted(len(reports), "queue")
    say(console, f"{counted(waiting)} {verb} in {queues}. Nothing was changed.", "bold")


def age(seconds: float) -> str:
    """Return how long ago something was, in the two largest units that matter."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return f"{int(max(0.0, seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _table(reports: Sequence[QueueReport]) -> Table:
    outcomes = [each for each in COMMITTED if any(report.outcomes[each] for report in reports)]
    table = Table()
    table.add_column("queue", overflow="fold")
    for heading in ("messages", *map(_words, outcomes), "retained"):
        table.add_column(heading, justify="right")
    for report in reports:
        counts = (report.tried, *(report.outcomes[each] for each in outcomes), len(report.retained))
        table.add_row(escape(report.queue), *map(str, counts))
    return table


def _retained(report: QueueReport) -> list[str]:
    by_kind: dict[str, list[Retained]] = {}
    for each in report.retained:
        by_kind.setdefault(each.reason.kind, []).append(each)
    lines = []
    for kind, retained in by_kind.items():
        one_text = len({each.reason.text for each in retained}) == 1
        common = retained[0].reason if one_text else kind
        lines.append(f"{report.queue}: retained {len(retained)}, {common}")
        for each in retained[:_EXAMPLES]:
            text = "" if one_text else f"  {each.reason.text}"
            lines.append(f"    {described(each.ids)}{text}")
        if (more := len(retained) - _EXAMPLES) > 0:
            lines.append(f"    and {more} more; --dry-run lists them all")
        lines.append(f"    -> {retained[0].reason.hint}")
    return lines


def _remarks(report: QueueReport, *, interrupted: bool) -> list[str]:
    remarks = []
    if report.unreadable is not None:
        remarks.append(f"the queue could not be read. {report.unreadable}")
    if report.stopped is not None:
        remarks.append(
            f"stopped early: the function kept failing with {report.stopped.kind}, so the cause is "
            f"not in the events. Not tried: about {counted(report.untried)}."
        )
    elif report.untried and interrupted:
        remarks.append(f"interrupted. Not tried: about {counted(report.untried)}.")
    elif report.untried:
        verb = "listed" if report.waiting else "tried"
        remarks.append(f"about {counted(report.untried)} more, not {verb}.")
    if report.held_by_another_consumer:
        remarks.append(
            f"about {counted(report.held_by_another_consumer)} held by another consumer: another "
            "run, or one that was killed. What nobody releases is visible again within "
            f"{report.visibility_timeout} s, or after what its consumer asked for. Run this again "
            "then."
        )
    return [f"{report.queue}: {remark}" for remark in remarks]


def _anomalies(reports: Sequence[QueueReport]) -> list[str]:
    anomalies = [each for report in reports for each in report.anomalies]
    if not anomalies:
        return []
    fit = "payment does not fit its order" if len(anomalies) == 1 else "payments do not fit orders"
    return [
        f"{len(anomalies)} {fit}, recorded in payment_anomalies for the operator:",
        *(f"    {described(each.ids)}  {each.kind or 'kind: see its row'}" for each in anomalies),
        "    -> See 'Payment anomalies' in the runbook.",
    ]


def _verdict(reports: Sequence[QueueReport], attention: Sequence[str], *, interrupted: bool) -> str:
    committed = sum(sum(report.outcomes.values()) for report in reports)
    done = f"{counted(committed)} done"
    if not all(report.empty for report in reports):
        return f"{done}. Messages remain: they are in their queues, nothing is lost."
    if interrupted:
        return f"{done}. Interrupted; nothing is lost."
    if attention:
        return f"{done}. Not well: see above."
    if not all(report.well for report in reports):
        return f"{done}, none left. The operator decides what is named above."
    return f"{done}, none left." if committed else "Nothing waits."
