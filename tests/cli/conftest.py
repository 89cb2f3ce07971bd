from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.servers.emulated_aws import EmulatedAWS
from local.waiting import wait_for
from stripe_settlement_cli import queue_consumer
from stripe_settlement_cli.aws import Clients
from stripe_settlement_cli.cli import main
from tests.cli.stand_in import StandIn
from tests.support.events import any_id


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def aws() -> Iterator[EmulatedAWS]:
    with EmulatedAWS() as emulated:
        yield emulated


@pytest.fixture(scope="session")
def deployed(aws: EmulatedAWS, tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(aws, tmp_path_factory.mktemp("stand-in"))


@pytest.fixture
def stack(deployed: StandIn) -> StandIn:
    """The stack, with empty queues."""
    deployed.empty()
    return deployed


@pytest.fixture
def own_stack(aws: EmulatedAWS, tmp_path: Path) -> StandIn:
    """A stack of the test's own, to break."""
    name = any_id("stack").replace("_", "-")
    stack = StandIn(aws, tmp_path, name=name, bus=f"aws.partner/stripe.com/{any_id('ed')}")
    stack.empty()
    return stack


@pytest.fixture
def run(
    aws: EmulatedAWS, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """The command, in this process."""
    environment = aws.environment()
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def redrive(*arguments: str, stack: str = "payments") -> Ended:
        capfd.readouterr()
        # A short poll finds every message of the emulator's.
        monkeypatch.setattr(queue_consumer, "_WAIT", 0)
        code = main(["redrive", "--stack", stack, *arguments])
        return Ended(code, *capfd.readouterr())

    return redrive


# A parent under nohup or in the background of a shell ignores signals, and children inherit that.
_WITH_DEFAULT_SIGNALS = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("stripe_settlement_cli", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a permission, `service:Operation`, from the command that runs in this process."""
    denied: list[str] = []
    client = Clients.client

    def denying(clients: Clients, service: str, **config: Any) -> Any:
        made = client(clients, service, **config)
        for action in denied:
            owner, _, operation = action.partition(":")
            if owner == service:
                made.meta.events.register(f"before-call.{service}.{operation}", _deny(operation))
        return made

    monkeypatch.setattr(Clients, "client", denying)
    return denied.append


def _deny(operation: str) -> Callable[..., None]:
    def deny_call(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "denied"}}, operation)

    return deny_call


class Started:
    """The command, in a process and a session of its own, with the signals of a terminal."""

    def __init__(self, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WITH_DEFAULT_SIGNALS, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def hear(self, text: str) -> None:
        """Wait until the process has written something on stderr."""
        wait_for(lambda: text in self._err.read_text() or None, f"the command to write {text!r}")

    def end(self) -> Ended:
        """Wait until the process has ended."""
        code = self.process.wait(timeout=120)
        return Ended(code, self._out.read_text(), self._err.read_text())


@pytest.fixture
def start(aws: EmulatedAWS, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """The command, in a process of its own."""
    started: list[Started] = []

    def redrive(*arguments: str, **environment: str) -> Started:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        command = ["redrive", "--stack", "payments", *arguments]
        started.append(Started(folder, command, aws.environment() | environment))
        return started[-1]

    yield redrive
    for each in started:
        each.process.kill()
        each.end()
