"""`python -m local cloud` from outside: who can reach it, and what is left when it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.waiting import wait_for
from tests.e2e.processes import Process, alive, family, listening

pytestmark = pytest.mark.xdist_group("e2e")

REPOSITORY = Path(__file__).parents[2]


class Starter:
    """The command in a terminal of its own, with a directory for temporary files of its own."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process = process
        self.temporary = directory / "tmp"
        self._output = directory / "output"
        self._addresses = directory / "addresses.json"

    def addresses(self) -> dict[str, Any]:
        addresses: dict[str, Any] = json.loads(self._addresses.read_text())
        return addresses

    def wait_until_up(self) -> None:
        def up() -> bool | None:
            assert self.process.poll() is None, self._output.read_text()
            return True if "Running until Ctrl-C" in self._output.read_text() else None

        wait_for(up, "the cloud to be up", seconds=300)

    def send(self, route: str) -> None:
        """Pay an order, so that the route's function has a process too."""
        command = [
            *(sys.executable, "-m", "local", "send", "--order", "1", "--route", route),
            *("--outputs", str(self._addresses)),
        ]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def family(self) -> set[Process]:
        return family(self.process.pid)


@contextmanager
def running(directory: Path) -> Iterator[Starter]:
    """The command, until the cloud is up and both functions have been invoked."""
    temporary, output = directory / "tmp", directory / "output"
    temporary.mkdir()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "local",
                "cloud",
                "--outputs",
                str(directory / "addresses.json"),
            ],
            cwd=REPOSITORY,
            # A terminal wide enough for no line to be broken; no database of the caller's.
            env={k: v for k, v in os.environ.items() if not k.startswith("DB_")}
            | {"TMPDIR": str(temporary), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    starter = Starter(process, directory)
    try:
        starter.wait_until_up()
        starter.send("webhook")
        starter.send("eventbridge")
        yield starter
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_nothing_of_the_cloud_can_be_reached_from_another_machine(tmp_path: Path) -> None:
    with running(tmp_path) as starter:
        places = listening(starter.family())
        addresses = starter.addresses()

    assert {addresses["db_port"], int(addresses["endpoint_url"].rpartition(":")[2])} <= {
        port for _, port in places
    }
    assert {address for address, _ in places} == {"127.0.0.1"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "terminal closed"])
def test_cloud_ends_with_whoever_started_it(tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path) as starter:
        processes = starter.family()

        starter.process.send_signal(how)

        starter.process.wait(timeout=120)
        wait_for(
            lambda: None if any(map(alive, processes)) else True,
            "every process of the cloud to end",
        )
        wait_for(
            lambda: None if list(starter.temporary.iterdir()) else True,
            "its temporary files to go",
            seconds=20,
        )
    assert len(processes) > 4  # the command, MariaDB, the emulator, two functions
