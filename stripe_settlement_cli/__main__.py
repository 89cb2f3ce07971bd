"""`python -m stripe_settlement_cli`: the operator's tools."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from stripe_settlement_cli.command_line import ExitCode, parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; answers the exit code.

    Args:
        arguments: without the program's name; by default the process's own.
    """
    asked = parser().parse_args(arguments)
    if missing := [name for name in ("boto3", "rich") if find_spec(name) is None]:
        names = " and ".join(missing)
        sys.stderr.write(f"{names} missing: pip install 'stripe-settlement[operations]'\n")
        return ExitCode.NOT_BEGUN

    from stripe_settlement_cli.redrive_command import redrive

    try:
        return redrive(asked)
    except KeyboardInterrupt:  # Before there was anything to finish, or for the second time.
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
