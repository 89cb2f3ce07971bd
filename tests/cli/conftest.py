from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from local.servers.emulated_aws import EmulatedAWS
from stripe_settlement_cli import mailbox
from stripe_settlement_cli.__main__ import main
from tests.cli.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
        monkeypatch.setattr(mailbox, "_WAIT", 0)
        code = main(["redrive", "--stack", stack, *arguments])
        return Ended(code, *capfd.readouterr())

    return redrive


@pytest.fixture
def start(aws: EmulatedAWS) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """The command, in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def redrive(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "stripe_settlement_cli", "redrive"),
                *("--stack", "payments", *arguments),
            ],
            env=aws.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield redrive
    for process in started:
        process.kill()
        process.communicate()
