"""What a person sees of the local cloud: progress while it works, tables at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.cloud import Addresses
from local.scenario import OrderBeforeAndAfter, Scene
from local.servers.cdk import Report

_PIPE_WIDTH: Final = 110


class Show:
    """Writes to one console: a live line on a terminal, finished lines anywhere else."""

    def __init__(self, console: Console | None = None) -> None:
        self._console: Final = console or _console()

    @contextmanager
    def phase(self, what: str) -> Iterator[Report]:
        """Show something that takes time, and then that it is done.

        What it yields is told how far it is.
        """
        began = time.monotonic()
        with self.working(what) as report:
            yield report
        self._finished(True, what, time.monotonic() - began)

    @contextmanager
    def working(self, what: str) -> Iterator[Report]:
        """Show something only for as long as it takes."""
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(escape(what), total=None, count="")
            yield lambda done, total: progress.update(
                task, completed=done, total=total, count=f"{done}/{total}"
            )

    def scene(self, scene: Scene) -> None:
        """One scene, played."""
        self._finished(scene.as_it_must, f"{scene.title}: {scene.came}", scene.seconds)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def _finished(self, well: bool, what: str, seconds: float) -> None:
        self._console.print(f"{_mark(well)} {escape(what)} [dim]{seconds:.1f} s[/]", soft_wrap=True)

    def heading(self, text: str) -> None:
        """What follows belongs together."""
        self._console.print(f"\n[bold]{escape(text)}[/]")

    def scenes(self, scenes: Sequence[Scene]) -> None:
        """What each delivery came to, where the proof lies, how long it took."""
        table = _table("What each delivery came to, and where the proof lies")
        for column in ("", "what happened", "by", "came to"):
            table.add_column(column, no_wrap=True)
        table.add_column("proof", overflow="fold")
        table.add_column("s", justify="right")
        for scene in scenes:
            table.add_row(
                _mark(scene.as_it_must),
                escape(scene.title),
                scene.route,
                escape(scene.outcome) if scene.as_it_must else "[red]something else[/]",
                escape(scene.proof),
                f"{scene.seconds:.1f}",
            )
        self._console.print(table)
        for scene in scenes:
            if not scene.as_it_must:
                self.say(
                    f"{scene.title}: it must come to\n  {scene.must}\nand came to\n  {scene.came}"
                )

    def orders(self, orders: Sequence[OrderBeforeAndAfter]) -> None:
        """The orders before and after."""
        table = _table("The orders, before and after")
        for column in ("order", "role", "total", "status", "payment intent", "settled by"):
            table.add_column(column, no_wrap=True)
        for column in ("sold", "code used"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in orders:
            table.add_row(
                str(row.order.id),
                row.role,
                f"{row.order.amount} {row.order.currency}",
                f"{row.before.status} → {row.after.status}",
                row.after.payment_intent or "-",
                row.after.route or "-",
                f"{row.before.sold} → {row.after.sold}",
                f"{row.before.used} → {row.after.used}",
            )
        self._console.print(table)
        self._console.print("[dim]Totals are in the currency's minor unit.[/]")

    def verdict(self, scenes: Sequence[Scene], *, seconds: float) -> None:
        """How it ended, in one line."""
        well = sum(scene.as_it_must for scene in scenes)
        self._finished(
            well == len(scenes), f"{well} of {len(scenes)} scenes came out as they must", seconds
        )

    def addresses(self, addresses: Addresses, path: str) -> None:
        """Where everything is."""
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_row("webhook", addresses.webhook_url)
        table.add_row("AWS_ENDPOINT_URL", addresses.endpoint_url)
        table.add_row("event bus", addresses.event_bus)
        table.add_row("database", f"{addresses.db_host}:{addresses.db_port}/{addresses.db_name}")
        table.add_row("all of it", path)
        self._console.print(table)


def _console() -> Console:
    """As wide as the terminal; what is piped is not squeezed into eighty columns."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _mark(well: bool) -> str:
    return "[green]✓[/]" if well else "[red]✗[/]"
