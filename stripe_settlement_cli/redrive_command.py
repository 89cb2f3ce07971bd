"""The command `redrive`: finds the queues, works on each, prints what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from stripe_settlement_cli.clients import AWS_ERRORS, Clients
from stripe_settlement_cli.command_line import ExitCode
from stripe_settlement_cli.deployment import DeploymentError, Finder
from stripe_settlement_cli.interruption import interruptible
from stripe_settlement_cli.listing import list_queue
from stripe_settlement_cli.progress import TerminalProgress
from stripe_settlement_cli.reasons import printable
from stripe_settlement_cli.redrive import WORKERS, QueueRedrive, Run
from stripe_settlement_cli.streaks import Streaks
from stripe_settlement_cli.summary import print_list, print_summary

if TYPE_CHECKING:
    import threading
    from argparse import Namespace
    from collections.abc import Sequence

    from stripe_settlement_cli.deployment import Deployment, FailureQueue
    from stripe_settlement_cli.report import QueueReport

_WIDE = 160
"""Columns where there is no terminal to ask: an id that is folded cannot be searched for."""


def redrive(asked: Namespace) -> int:
    """Redrive, or list, the failure queues of a stack; answers the exit code.

    Args:
        asked: what the command line says.
    """
    out, err = _console(stderr=False), _console(stderr=True)
    try:
        clients = Clients(profile=asked.profile, region=asked.region)
        with err.status(f"Looking through stack {escape(asked.stack)}"):
            deployment = Finder(clients.client, asked.stack).find()
        queues = deployment.only(asked.queue)
    except (DeploymentError, *AWS_ERRORS) as error:
        err.print(escape(str(error)), style="red", highlight=False, soft_wrap=True)
        return ExitCode.NOT_BEGUN
    _say_what_was_not_looked_at(err, deployment)
    with interruptible(lambda: _say_that_it_ends(err)) as interrupted:
        if asked.dry_run:
            return _list(queues, clients, interrupted, out)
        return _redrive(queues, clients, interrupted, out, err)


def _list(
    queues: Sequence[FailureQueue], clients: Clients, interrupted: threading.Event, out: Console
) -> int:
    sqs = clients.client("sqs")
    reports = [list_queue(queue, sqs, interrupted) for queue in queues]
    print_list(out, reports)
    if interrupted.is_set():
        return ExitCode.INTERRUPTED
    unreadable = any(report.unreadable for report in reports)
    return ExitCode.REMAINS if unreadable else ExitCode.DONE


def _redrive(
    queues: Sequence[FailureQueue],
    clients: Clients,
    interrupted: threading.Event,
    out: Console,
    err: Console,
) -> int:
    slowest = max((queue.slowest for queue in queues), default=0)
    sqs = clients.client("sqs")
    invoker = clients.invoker(function_timeout=slowest, at_once=WORKERS)
    streaks = Streaks()
    reports: list[QueueReport] = []
    try:
        for queue in queues:
            with TerminalProgress(err, queue.name) as progress:
                run = Run(
                    sqs=sqs,
                    invoker=invoker,
                    progress=progress,
                    interrupted=interrupted,
                    streaks=streaks,
                )
                work = QueueRedrive(queue, run)
                reports.append(work.report)
                work.redrive()
    except KeyboardInterrupt:
        err.print(
            "Left at once. What was in hand is visible again within "
            f"{reports[-1].comes_back_within} s; nothing is lost.",
            highlight=False,
        )
    print_summary(out, reports, interrupted=interrupted.is_set())
    if interrupted.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if all(report.all_out for report in reports) else ExitCode.REMAINS


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _say_what_was_not_looked_at(err: Console, deployment: Deployment) -> None:
    if deployment.not_looked_at:
        names = printable(", ".join(deployment.not_looked_at))
        err.print(
            f"Not looked at, because these credentials may not: {escape(names)}. With the "
            "permissions of grant_redrive, everything of Stripe settlement was looked at.",
            style="dim",
            highlight=False,
            soft_wrap=True,
        )


def _say_that_it_ends(err: Console) -> None:
    err.print(
        "Interrupted: finishing what is in hand and giving the rest back. Once more to leave now.",
        style="yellow",
        highlight=False,
    )
