"""What can be typed, and what is said about it."""

from __future__ import annotations

import argparse
from enum import IntEnum
from typing import Final

PROGRAM: Final = "python -m stripe_settlement_cli"


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    REMAINS = 1
    NOT_BEGUN = 2
    """argparse's own for wrong arguments."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells count."""


_EXIT_CODES: Final = """\
exit codes:
  0    everything that was asked for came out, or there was nothing to do
  1    messages remain, or the run stopped early; the summary says why
  2    nothing was begun: wrong arguments, no such stack or queue, no credentials or permission
  130  interrupted by Ctrl-C or SIGTERM; what was in hand is finished, the rest is back in its queue
"""

_REDRIVE: Final = """\
Hand the events that wait in the failure queues of a stack to their functions again.

A message is deleted only after its function has said that the event's outcome is committed:
settled, duplicate, awaiting payment, ignored or anomaly. Everything else stays, and the summary
says why.
Running it twice, or twice at once, is safe: an order settles once.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The operator's tools for Stripe settlement.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    redrive = commands.add_parser(
        "redrive",
        help="hand the events of the failure queues to their functions again",
        description=_REDRIVE,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    redrive.add_argument("--stack", required=True, metavar="NAME", help="the stack's name or ARN")
    redrive.add_argument(
        "--queue",
        action="append",
        default=[],
        metavar="QUEUE",
        help="only this failure queue, by name, URL or ARN; repeat it for several",
    )
    redrive.add_argument(
        "--dry-run",
        action="store_true",
        help="list what waits, and why it is there; hand in and delete nothing",
    )
    redrive.add_argument("--profile", help="of the AWS configuration files")
    redrive.add_argument("--region", help="of the stack")
    return top
