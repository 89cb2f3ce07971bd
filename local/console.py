"""What a person sees of the local cloud: progress while it works, tables at the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console as Terminal
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.cloud import Addresses
from local.scenario import OrderBeforeAndAfter, Step
from local.servers.cdk import Report

_PIPE_WIDTH: Final = 110


class Console:
    """Writes a live line on a terminal, finished lines anywhere else."""

    def __init__(self, terminal: Terminal | None = None) -> None:
        self._terminal: Final = terminal or _terminal()

    @contextmanager
    def phase(self, what: str) -> Iterator[Report]:
        """Show something that takes time, and then that it is done.

        What it yields receives how far it is.
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
            console=self._terminal,
            transient=True,
            disable=not self._terminal.is_terminal,
        ) as progress:
            task = progress.add_task(escape(what), total=None, count="")
            yield lambda done, total: progress.update(
                task, completed=done, total=total, count=f"{done}/{total}"
            )

    def step(self, step: Step) -> None:
        """Print one step, played."""
        self._finished(step.as_expected, f"{step.title}: {step.actual}", step.seconds)

    def say(self, text: str) -> None:
        """Print one line."""
        self._terminal.print(text, markup=False, soft_wrap=True)

    def _finished(self, well: bool, what: str, seconds: float) -> None:
        self._terminal.print(
            f"{_mark(well)} {escape(what)} [dim]{seconds:.1f} s[/]", soft_wrap=True
        )

    def heading(self, text: str) -> None:
        """Print what the next lines are about."""
        self._terminal.print(f"\n[bold]{escape(text)}[/]")

    def steps(self, steps: Sequence[Step]) -> None:
        """Print what came of each step, where the proof is, how long it took."""
        table = _table("The steps, and where the proof is")
        for column in ("", "step", "by", "outcome"):
            table.add_column(column, no_wrap=True)
        table.add_column("proof", overflow="fold")
        table.add_column("s", justify="right")
        for step in steps:
            table.add_row(
                _mark(step.as_expected),
                escape(step.title),
                step.route,
                escape(step.outcome) if step.as_expected else "[red]not as expected[/]",
                escape(step.proof),
                f"{step.seconds:.1f}",
            )
        self._terminal.print(table)
        for step in steps:
            if not step.as_expected:
                self.say(f"{step.title}\n  expected  {step.expected}\n  was       {step.actual}")

    def orders(self, orders: Sequence[OrderBeforeAndAfter]) -> None:
        """Print the orders before and after."""
        table = _table("The orders, before and after")
        for column in ("order", "role", "total", "status", "settled by"):
            table.add_column(column, no_wrap=True)
        for column in ("sold", "code used"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in orders:
            table.add_row(
                str(row.order.id),
                row.role,
                f"{row.order.amount} {row.order.currency}",
                f"{row.before.status} → {row.after.status}",
                row.after.route or "-",
                f"{row.before.sold} → {row.after.sold}",
                f"{row.before.used} → {row.after.used}",
            )
        self._terminal.print(table)
        self._terminal.print("[dim]Totals are in the currency's minor unit.[/]")

    def verdict(self, steps: Sequence[Step], *, seconds: float) -> None:
        """Print how it ended, in one line."""
        well = sum(step.as_expected for step in steps)
        self._finished(
            well == len(steps), f"{well} of {len(steps)} steps were as expected", seconds
        )

    def addresses(self, addresses: Addresses, path: str) -> None:
        """Print where everything is, and what makes a shell reach it."""
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_row("webhook", addresses.webhook_url)
        table.add_row("event bus", addresses.event_bus)
        table.add_row("database", f"{addresses.db_host}:{addresses.db_port}/{addresses.db_name}")
        table.add_row("Stripe's mock", addresses.stripe_url)
        table.add_row("all of it", path)
        self._terminal.print(table)
        self.heading("For aws and stripe-settlement, in another terminal")
        for name, value in addresses.variables().items():
            self.say(f"export {name}={shlex.quote(value)}" if value else f"unset {name}")

    def next_steps(self, steps: Mapping[str, str]) -> None:
        """Print what can be tried or read next, by the command or the page."""
        self.heading("What to do next")
        table = Table(show_header=False, box=None, pad_edge=False)
        for what, why in steps.items():
            table.add_row(escape(what), escape(why))
        self._terminal.print(table)


def _terminal() -> Terminal:
    """Return one as wide as the terminal; what is piped is not squeezed into eighty columns."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _mark(well: bool) -> str:
    return "[green]✓[/]" if well else "[red]✗[/]"
