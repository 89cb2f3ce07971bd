"""What can be typed, what is said about it, and how a command ends."""

import argparse
import importlib.metadata
import re
import sys
from datetime import timedelta
from enum import IntEnum
from importlib.util import find_spec
from typing import Final

PROGRAM: Final = "stripe-settlement"


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    REMAINS = 1
    NOT_BEGUN = 2
    """argparse's own for wrong arguments."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells count."""


_DESCRIPTION: Final = "The operator's tools for Stripe payments that are settled in MariaDB."

_EXAMPLES: Final = """\
examples:
  stripe-settlement redrive --stack cachao-payments-prod --dry-run   what waits, and why
  stripe-settlement redrive --stack cachao-payments-prod             settle it now
  stripe-settlement doctor --stack cachao-payments-prod              is all well?
  stripe-settlement explain --stack cachao-payments-prod 4711        what became of an order
  stripe-settlement reconcile --stack cachao-payments-prod           what no route has brought
"""

_EXIT_CODES: Final = """\
exit codes:
  0    all is well: everything that was asked for is done, or there was nothing to do
  1    messages remain, in an on-sale queue too, or the run stopped early; the summary says why
  2    nothing was begun: wrong arguments, no such stack or queue, no credentials or permission
  130  interrupted by Ctrl-C or SIGTERM; what was in flight is finished, the rest is in its queue
"""

_REDRIVE: Final = """\
Invoke the functions again with the events that wait in the failure queues of a stack.

A message is deleted only after its function has reported that the event's outcome is committed:
settled, duplicate, awaiting payment, ignored or anomaly. Everything else is retained, and the
summary says why.
Running it twice, or twice at once, is safe: an order settles once.
"""


_DOCTOR: Final = """\
Look at every link of the chain and print a line for each: what is, and what mends it. It changes
nothing. What could not be looked at is a ?, and not known is not well; ! is advice. Stripe is asked
with the key of STRIPE_API_KEY, or that of the stack's own secret.
"""

_EXPLAIN: Final = """\
Say what is known of one order, event, checkout session or payment: what the tables hold, what the
functions logged, what waits in the failure queues, and what Stripe says of the checkout. Stripe is
asked with the key of STRIPE_API_KEY, or that of the stack's own secret. It changes nothing; a
message it has looked at is visible again at once.
"""

_EXPLAIN_EXIT_CODES: Final = """\
exit codes:
  0    it is settled, or nothing was paid
  1    it is paid and not settled, or that could not be found out; the last line says what to do
  2    nothing is known of it, or nothing was begun
  130  interrupted
"""

_ANOMALIES: Final = """\
The payments that are real and do not fit their order. `retry` gives the function the event from
Stripe again: if it settles now, the anomaly closes itself. `resolve` closes one; that it is settled
is asked of the ledger, that it is refunded of Stripe, with the key of STRIPE_API_KEY or that of the
stack's own secret. Who, how, why and when are kept; what is closed is not changed. Money is
refunded in Stripe's dashboard alone.

exit codes:
  0    none is open, or the one that was named is closed
  1    some are open, or the one that was named is, and the last line says why
  2    nothing was begun
  130  interrupted
"""


_RECONCILE: Final = """\
Compare what was paid at Stripe with what the ledger knows: settled, anomaly or missing. With
--settle, the EventBridge route's function is given each event that is missing, as safely as redrive
does. Stripe is asked with the key of STRIPE_API_KEY, or that of the stack's own secret; Stripe
keeps events for 30 days. What is younger than ten minutes is left to the routes.
"""

_RECONCILE_EXIT_CODES: Final = """\
exit codes:
  0    nothing is missing, or all of it is settled now
  1    a payment is missing, or one that was does not fit its order
  2    nothing was begun: no key, no permission, Stripe or the database was not asked
  130  interrupted; what was settled is settled
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=f"{_EXAMPLES}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    redrive = commands.add_parser(
        "redrive",
        help="invoke the functions again with the events of the failure queues",
        description=_REDRIVE,
        epilog=f"{_EXAMPLES}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(redrive)
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
        help="list what waits, and why it is there; invoke and delete nothing",
    )
    doctor = commands.add_parser(
        "doctor",
        help="is the whole chain healthy, from Stripe to the functions?",
        description=_DOCTOR,
        epilog=f"{_EXAMPLES}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(doctor)
    doctor.add_argument(
        "--probe",
        nargs="?",
        const="",
        metavar="URL",
        help="post a signed event of no interest and a forged one to the webhook; by default to "
        "the address in the stack's outputs. The forged one sets off an alarm",
    )
    explain = commands.add_parser(
        "explain",
        help="what became of an order, an event, a checkout session or a payment",
        description=_EXPLAIN,
        epilog=_EXPLAIN_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument(
        "id", type=_id, metavar="ORDER|evt_|cs_|pi_", help="the order's id, or Stripe's"
    )
    _add_common(explain)
    _add_anomalies(commands)
    reconcile = commands.add_parser(
        "reconcile",
        help="what was paid at Stripe and is not settled; with --settle, settle it",
        description=_RECONCILE,
        epilog=_RECONCILE_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reconcile.add_argument(
        "--since",
        type=_since,
        default=timedelta(hours=24),
        metavar="24h",
        help="how far back: minutes, hours or days, as in 90m, 24h, 3d; by default 24h",
    )
    reconcile.add_argument("--settle", action="store_true", help="settle what is missing")
    _add_common(reconcile)
    return top


def _add_anomalies(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "anomalies",
        help="the payments that do not fit their order: list them, retry one, or close it",
        description=_ANOMALIES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_common(actions.add_parser("list", help="those that are open, the oldest first"))
    retry = actions.add_parser("retry", help="its event from Stripe again, to the function")
    resolve = actions.add_parser("resolve", help="close it, with what became of it")
    for each in (retry, resolve):
        each.add_argument("id", type=_anomaly_id, metavar="ID", help="as `list` shows it")
        _add_common(each)
    resolve.add_argument(
        "--as",
        dest="resolution",
        required=True,
        choices=("settled", "refunded", "dismissed"),
        help="settled: the ledger is asked; refunded: Stripe is asked; dismissed: needs --note",
    )
    resolve.add_argument(
        "--note", metavar="TEXT", help="why, for who reads it later; no customer's name or address"
    )


def _since(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text):
        since = timedelta(**{units[found[2]]: int(found[1])})
        if since <= timedelta(days=30):
            return since
    raise argparse.ArgumentTypeError(
        f"{text!r} is none; allowed are minutes, hours or days up to the 30 that Stripe keeps "
        "events, as in 90m, 24h, 3d"
    )


def _anomaly_id(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,17}", text):
        return int(text)
    raise argparse.ArgumentTypeError("allowed is an anomaly's number, as `anomalies list` shows it")


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--stack",
        metavar="NAME",
        help="the stack's name or ARN; by default $SETTLEMENT_STACK, else the only one that is "
        "tagged as ours",
    )
    command.add_argument("--region", help="of the stack; by default $AWS_REGION, or the profile's")
    command.add_argument("--profile", help="of the AWS configuration files")
    command.add_argument(
        "--yes",
        action="store_true",
        help="do not ask before money is settled or an anomaly closed",
    )
    command.add_argument(
        "--json",
        action="store_true",
        help="print one JSON document on stdout; everything else goes to stderr",
    )


def _id(text: str) -> str:
    if re.fullmatch(r"(evt|cs|pi)_[A-Za-z0-9_]{1,200}|(?!(evt|cs|pi)_)[!#-\[\]-~]{1,64}", text):
        return text
    raise argparse.ArgumentTypeError(
        "allowed is an order's id (up to 64 printable ASCII characters, no blank, quote or "
        "backslash), or an id of Stripe's that begins with evt_, cs_ or pi_"
    )


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code.

    Args:
        arguments: without the program's name; by default the process's own.
    """
    asked = parser().parse_args(arguments)
    if missing := [name for name in ("boto3", "rich") if find_spec(name) is None]:
        names = " and ".join(missing)
        sys.stderr.write(f"{names} missing: pip install 'stripe-settlement[cli]'\n")
        return ExitCode.NOT_BEGUN

    from stripe_settlement_cli.anomalies import anomalies
    from stripe_settlement_cli.doctor import doctor
    from stripe_settlement_cli.explain import explain
    from stripe_settlement_cli.reconcile import reconcile
    from stripe_settlement_cli.redrive import redrive

    commands = {
        "redrive": redrive,
        "explain": explain,
        "doctor": doctor,
        "anomalies": anomalies,
        "reconcile": reconcile,
    }
    try:
        return commands[asked.command](asked)
    except KeyboardInterrupt:  # Before there was anything to finish, or for the second time.
        return ExitCode.INTERRUPTED


def _version() -> str:
    try:
        return importlib.metadata.version("stripe-settlement")
    except importlib.metadata.PackageNotFoundError:
        return "(from a checkout)"
