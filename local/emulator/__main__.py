"""Starts the emulated AWS: `python -m local.emulator --help`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from local.emulator import MINISTACK_VERSION, Settings

HOST: Final = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return 1 when it cannot: wrong MiniStack, port taken."""
    options = _parser().parse_args(arguments)
    if problem := version_problem(_installed_version()):
        print(problem, file=sys.stderr)
        return 1
    with socket.socket() as listener, tempfile.TemporaryDirectory(prefix="emulated-aws-") as files:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, options.port))
        except OSError as error:
            print(f"Cannot serve on {HOST}:{options.port}: {error.strerror}", file=sys.stderr)
            return 1
        port = listener.getsockname()[1]
        settings = Settings(
            endpoint=f"http://{HOST}:{port}",
            function_python=options.function_python,
            speed=options.speed,
            async_retry_seconds=options.async_retry_seconds,
        )
        _configure(port=port, region=options.region, directory=Path(files))
        from local.emulator import patches, server  # MiniStack is imported now, configured

        patches.apply(settings)
        print(f"Serving on {settings.endpoint}", flush=True)
        server.serve(listener)
    return 0


def version_problem(installed: str | None) -> str | None:
    """Return what is wrong with the installed MiniStack and what to do about it, if anything is."""
    if installed == MINISTACK_VERSION:
        return None
    found = f"MiniStack {installed}" if installed else "no MiniStack"
    return (
        f"Found {found}; local/emulator was checked against MiniStack {MINISTACK_VERSION} and "
        "replaces functions of that version.\n"
        "To install the pinned one: make setup\n"
        "To move the pin: read the functions that local/emulator replaces in the new version, set "
        "MINISTACK_VERSION in local/emulator/__init__.py, and run tests/emulator."
    )


def _installed_version() -> str | None:
    try:
        return metadata.version("ministack")
    except metadata.PackageNotFoundError:
        return None


def _configure(*, port: int, region: str, directory: Path) -> None:
    """Set the environment that MiniStack reads when it is imported."""
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,
        MINISTACK_HOST=HOST,
        MINISTACK_REGION=region,
        TMPDIR=str(directory),
        STATE_DIR=str(directory / "state"),
        PERSIST_STATE="0",
        # Nothing beside the one port: no SFTP, no MQTT, no containers of this machine's Docker.
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST=f"unix://{directory}/no-docker",
    )
    tempfile.tempdir = str(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.emulator",
        description="Runs an emulated AWS on 127.0.0.1 until Ctrl-C or SIGTERM. "
        "It keeps everything in memory.",
        epilog="Exit codes: 0 ended as asked, 1 the installed MiniStack is not the pinned one or "
        "the port is taken, 2 usage.",
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    parser.add_argument(
        "--function-python",
        type=Path,
        required=True,
        help="Python interpreter of the functions: an environment that holds awslambdaric",
    )
    parser.add_argument("--region", default="eu-west-1", help="the only region (%(default)s)")
    parser.add_argument(
        "--speed",
        type=_above_zero,
        default=1.0,
        help="how many times faster than on AWS alarms, queue metrics and schedules run "
        "(%(default)s)",
    )
    parser.add_argument(
        "--async-retry-seconds",
        type=_above_zero,
        default=60.0,
        help="wait before the first retry of an asynchronous invocation, and half the wait before "
        "the second; throttled events wait in the same proportion (%(default)s, as on AWS)",
    )
    return parser


def _above_zero(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
