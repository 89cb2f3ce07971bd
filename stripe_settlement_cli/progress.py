"""What is seen while a redrive works: a line that moves, and one for each message kept."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from stripe_settlement_cli.summary import described, outcome_words

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from stripe_settlement_cli.messages import EventIds
    from stripe_settlement_cli.report import Kept


class TerminalProgress:
    """Shows one queue's progress on a console; on anything but a terminal only what was kept."""

    def __init__(self, console: Console, queue_name: str) -> None:
        """
        Args:
            console: of stderr: stdout is the summary's.
            queue_name: shown in front.
        """
        self._bar: Final = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[said]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(escape(queue_name), total=None, said="")
        self._queue_name = queue_name
        self._lock = threading.Lock()
        self._total = self._done = 0
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def waiting(self, count: int) -> None:
        """So many messages are visible in the queue, roughly."""
        self._total = count
        self._bar.update(self._task, total=max(count, 1) if count else None)
        self._bar.console.print(
            f"[bold]{escape(self._queue_name)}[/]: about {count} waiting", highlight=False
        )

    def committed(self, ids: EventIds, outcome: str) -> None:
        """An event's outcome is committed."""
        del ids
        self._count(outcome_words(outcome))

    def kept(self, kept: Kept) -> None:
        """A message stays."""
        self._bar.console.print(
            f"[yellow]kept[/] {escape(described(kept.ids))}: {escape(str(kept.reason))}",
            highlight=False,
            soft_wrap=True,
        )
        self._count("kept")

    def held_elsewhere(self, count: int) -> None:
        """The queue looks empty, but somebody else holds messages."""
        self._bar.update(self._task, said=f"about {count} are in somebody else's hands; waiting")

    def _count(self, word: str) -> None:
        with self._lock:
            self._done += 1
            self._counts[word] += 1
            said = " · ".join(f"{word} {count}" for word, count in self._counts.items())
            total = max(self._total, self._done)
            self._bar.update(self._task, completed=self._done, total=total, said=said)
