"""`python -m local cloud` from outside: who can reach it, and what is left when it is ended."""

from __future__ import annotations

import json
import os
import re
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

    def send(self, route: str, *arguments: str, order: int = 1) -> str:
        """Pay an order; return what was printed."""
        command = [
            *(sys.executable, "-m", "local", "send", "--order", str(order), "--route", route),
            *("--outputs", str(self._addresses), *arguments),
        ]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def in_a_shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command where nothing but the lines that were printed for a shell was set."""
        lines = re.findall(r"^(?:export|unset) .*$", self._output.read_text(), re.MULTILINE)
        return subprocess.run(
            ["bash", "-euc", "\n".join([*lines, command])],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "AWS_PROFILE": "production", "HOME": os.devnull},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def stop_or_start_database(self, printed: str) -> None:
        """Send the signal that the cloud names, and wait until it says what it did."""
        before = self._output.read_text().count(printed)
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_for(
            lambda: True if self._output.read_text().count(printed) > before else None, printed
        )

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


def test_cloud_that_stays_is_a_rehearsal(tmp_path: Path) -> None:
    """What it prints for a shell reaches it, a wrong amount and an outage can be played."""
    redrive = f"{sys.executable} -m stripe_settlement_cli redrive --stack $SETTLEMENT_STACK"
    with running(tmp_path) as starter:
        stacks = starter.in_a_shell(
            f'{sys.executable} -c \'import boto3; print(boto3.client("cloudformation")'
            '.describe_stacks()["Stacks"][-1]["StackName"])\''
        )
        wrong_amount = starter.send("webhook", "--amount", "4500", order=2)
        starter.stop_or_start_database("The database is stopped.")
        during = [starter.send(route, order=3) for route in ("webhook", "eventbridge")]
        waiting = wait_for(
            lambda: (
                done
                if "1 message" in (done := starter.in_a_shell(f"{redrive} --dry-run")).stdout
                else None
            ),
            "the event to wait in its queue",
        )
        starter.stop_or_start_database("The database is running.")
        redriven = starter.in_a_shell(redrive)
        settled = starter.send("webhook", order=3)

    assert "cachao-payments-local" in stacks.stdout, stacks.stderr
    assert "200 anomaly" in wrong_amount
    assert "anomalies: amount_mismatch" in wrong_amount
    assert "503 retry" in during[0]
    assert "posts again" in during[0]
    assert "waits in cachao-stripe" in during[1]
    assert waiting.stderr == ""
    assert redriven.returncode == 0, redriven.stdout + redriven.stderr
    assert "200 duplicate" in settled
    # By the redriven event, or by the webhook, which the mock of Stripe posts again meanwhile.
    assert re.search(r"paid, 2 sold, code used 1, settled by (eventbridge|webhook)", settled)
