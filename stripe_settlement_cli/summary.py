"""What the operator reads when a run is over: a table, what was kept and why, what to do now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from stripe_settlement_cli.answers import COMMITTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stripe_settlement_cli.messages import EventIds
    from stripe_settlement_cli.report import Kept, QueueReport

_EXAMPLES: Final = 20
"""Events named for one reason; the others are counted. `--dry-run` lists them all."""


def described(ids: EventIds) -> str:
    """An event, by what may be shown of it."""
    order = f"order {ids.order_id}" if ids.order_id else "no order id"
    return f"{ids.event_id or 'no event id'}  {ids.event_type or 'no type'}  {order}"


def outcome_words(outcome: str) -> str:
    """An outcome as a heading."""
    return outcome.replace("_", " ")


def print_summary(console: Console, reports: Sequence[QueueReport], *, interrupted: bool) -> None:
    """Print what became of each queue's messages.

    Args:
        console: of stdout.
        reports: of the queues that were worked on.
        interrupted: whether the operator ended the run.
    """
    console.print(_table(reports))
    for report in reports:
        _print_kept(console, report)
        for line in _remarks(report, interrupted=interrupted):
            console.print(
                f"{escape(report.queue)}: {escape(line)}", highlight=False, soft_wrap=True
            )
    if anomalies := sum(report.outcomes["anomaly"] for report in reports):
        console.print(
            f"{anomalies} payments do not fit their orders. They are in payment_anomalies and wait "
            "for a person: see 'Payment anomalies' in the runbook.",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"[bold]{_verdict(reports, interrupted=interrupted)}", highlight=False)


def print_list(console: Console, reports: Sequence[QueueReport]) -> None:
    """Print what waits, oldest first.

    Args:
        console: of stdout.
        reports: of the queues that were looked at.
    """
    for report in reports:
        table = Table(
            title=f"{escape(report.queue)}: {len(report.listed)} wait", title_justify="left"
        )
        for heading in ("event", "type", "order", "waits for", "why it is here"):
            table.add_column(heading, overflow="fold")
        for each in report.listed:
            ids = (each.ids.event_id, each.ids.event_type, each.ids.order_id)
            cells = (*(value or "-" for value in ids), _age(each.age_seconds), each.why)
            table.add_row(*map(escape, cells))
        if report.listed:
            console.print(table)
        for line in _remarks(report, interrupted=False):
            console.print(
                f"{escape(report.queue)}: {escape(line)}", highlight=False, soft_wrap=True
            )
    waiting = sum(len(report.listed) for report in reports)
    console.print(
        f"[bold]{waiting} messages wait in {len(reports)} queues. Nothing was changed.",
        highlight=False,
    )


def _table(reports: Sequence[QueueReport]) -> Table:
    outcomes = [each for each in COMMITTED if any(report.outcomes[each] for report in reports)]
    table = Table()
    table.add_column("queue", overflow="fold")
    for heading in ("messages", *map(outcome_words, outcomes), "kept"):
        table.add_column(heading, justify="right")
    for report in reports:
        counts = (report.tried, *(report.outcomes[each] for each in outcomes), len(report.kept))
        table.add_row(escape(report.queue), *map(str, counts))
    return table


def _print_kept(console: Console, report: QueueReport) -> None:
    by_kind: dict[str, list[Kept]] = {}
    for kept in report.kept:
        by_kind.setdefault(kept.reason.kind, []).append(kept)
    for kind, kept_ones in by_kind.items():
        one_text = len({kept.reason.text for kept in kept_ones}) == 1
        lines = [
            f"{report.queue}: kept {len(kept_ones)}, {kept_ones[0].reason if one_text else kind}",
            *(_example(kept, with_text=not one_text) for kept in kept_ones[:_EXAMPLES]),
        ]
        if (more := len(kept_ones) - _EXAMPLES) > 0:
            lines.append(f"    and {more} more; --dry-run lists them all")
        lines.append(f"    -> {kept_ones[0].reason.advice}")
        for line in lines:
            console.print(escape(line), highlight=False, soft_wrap=True)


def _example(kept: Kept, *, with_text: bool) -> str:
    return f"    {described(kept.ids)}" + (f"  {kept.reason.text}" if with_text else "")


def _remarks(report: QueueReport, *, interrupted: bool) -> list[str]:
    remarks = []
    if report.unreadable is not None:
        remarks.append(f"the queue could not be read. {report.unreadable}")
    if report.stopped is not None:
        remarks.append(
            f"stopped early: the function kept failing with {report.stopped.kind}, so the cause is "
            f"not in the events. About {report.untried} were not tried."
        )
    elif report.untried and interrupted:
        remarks.append(f"interrupted. About {report.untried} were not tried.")
    if report.elsewhere:
        remarks.append(
            f"about {report.elsewhere} are in somebody else's hands: another run, or one that was "
            f"killed. What nobody gives back is visible again within {report.comes_back_within} s "
            "of being taken, or after what its taker asked for. Run this again then."
        )
    return remarks


def _verdict(reports: Sequence[QueueReport], *, interrupted: bool) -> str:
    committed = sum(sum(report.outcomes.values()) for report in reports)
    if not all(report.all_out for report in reports):
        return f"{committed} came out. Messages remain: they are in their queues, nothing is lost."
    if interrupted:
        return f"{committed} came out. Interrupted; nothing is lost."
    return f"All {committed} came out." if committed else "Nothing waits."


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
