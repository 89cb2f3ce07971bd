"""The process around the emulator: it starts on a free port and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from local.servers.emulated_aws import REGION, EmulatedAWS, EmulatedAWSError, Timing
from local.waiting import wait_for
from tests.emulator.account import Account, any_name
from tests.support.waiting import SECONDS, wait_until_ended, within

pytestmark = pytest.mark.xdist_group("emulator")

ROOT = Path(__file__).parents[2]
# Unlike the function itself, what it starts does not notice when the emulator is gone.
START_A_PROCESS = """
import subprocess
def handler(event, context):
    return subprocess.Popen(["sleep", "600"]).pid
"""
LISTENING = "0A"  # /proc/net/tcp: TCP_LISTEN


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything temporary goes during the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def own(temporary: Path) -> Iterator[EmulatedAWS]:
    """An emulator of the test's own, to be broken."""
    with EmulatedAWS() as aws:
        yield aws


def queues(aws: EmulatedAWS) -> list[str]:
    return list(aws.client("sqs").list_queues().get("QueueUrls", ()))


def test_two_emulators_run_side_by_side(aws: EmulatedAWS, own: EmulatedAWS) -> None:
    name = any_name("queue")
    own.client("sqs").create_queue(QueueName=name)
    assert own.endpoint != aws.endpoint
    assert queues(own) == [f"{own.endpoint}/000000000000/{name}"]
    assert name not in " ".join(queues(aws))


def test_stop_ends_the_functions_and_removes_their_files(own: EmulatedAWS, temporary: Path) -> None:
    account = Account(own)
    process = account.invoke(account.function(START_A_PROCESS)).payload
    assert list(temporary.iterdir())
    own.stop()
    wait_until_ended(process)
    assert list(temporary.iterdir()) == []
    assert not own.running


def test_stopped_emulator_starts_again_with_nothing_in_it(own: EmulatedAWS) -> None:
    own.client("sqs").create_queue(QueueName="any")
    own.stop()
    own.start()
    assert queues(own) == []


def test_start_of_a_running_emulator_changes_nothing(own: EmulatedAWS) -> None:
    own.client("sqs").create_queue(QueueName="any")
    own.start()
    assert len(queues(own)) == 1


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_emulator_ends_with_the_process_that_started_it(
    tmp_path: Path, sign: signal.Signals
) -> None:
    program = (
        "import signal, sys\n"
        # What the tests were started with ignored, as SIGHUP under nohup, is ignored here too.
        "for each in signal.SIGTERM, signal.SIGHUP: signal.signal(each, signal.SIG_DFL)\n"
        "from local.servers.emulated_aws import EmulatedAWS\n"
        "from tests.emulator.account import Account\n"
        "aws = EmulatedAWS(); aws.start(); account = Account(aws)\n"
        f"function = account.function({START_A_PROCESS!r})\n"
        "print(aws._process.pid, aws._watchdog.pid, account.invoke(function).payload, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        with within("the emulator to start"):
            pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 3
        starter.send_signal(sign)
        wait_until_ended(*pids)
    assert list(tmp_path.iterdir()) == []


def test_nothing_listens_beyond_loopback(own: EmulatedAWS) -> None:
    account = Account(own)
    account.invoke(account.function())
    account.invoke(
        account.function("exports.handler = async () => 1", file="index.js", Runtime="nodejs24.x")
    )
    assert own._process is not None
    addresses = listening_addresses(group=own._process.pid)
    assert addresses == {"127.0.0.1"}


def listening_addresses(*, group: int) -> set[str]:
    """Where the processes of a group take connections."""
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                sockets |= {str(file.readlink()) for file in (process / "fd").iterdir()}
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENING and f"socket:[{inode}]" in sockets:
                words = bytes.fromhex(local.split(":")[0])
                ordered = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                found.add(socket.inet_ntop(family, ordered))
    return found


def test_emulator_that_cannot_start_shows_its_log_and_leaves_nothing(temporary: Path) -> None:
    aws = EmulatedAWS(timing=Timing(speed=0))
    with pytest.raises(EmulatedAWSError, match="must be above 0, not 0"):
        aws.start()
    assert not aws.running
    assert list(temporary.iterdir()) == []


def test_command_serves_until_it_is_asked_to_end() -> None:
    with command() as process:
        assert process.stdout is not None
        with within("the command to serve"):
            address = process.stdout.readline().removeprefix("Serving on ").strip()
        wait_for(lambda: answer(f"{address}/_ministack/health"), "an answer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_command_says_that_its_port_is_taken(aws: EmulatedAWS) -> None:
    with command("--port", aws.endpoint.rpartition(":")[2]) as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "Address already in use" in output
    assert "Traceback" not in output


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    python = Path(sys.prefix, "lambda", "bin", "python")
    with subprocess.Popen(
        [sys.executable, "-m", "local.emulator", "--function-python", str(python), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(address: str) -> int | None:
    with suppress(OSError), urllib.request.urlopen(address, timeout=5) as response:
        return int(response.status)
    return None


def test_missing_interpreter_says_what_installs_it() -> None:
    aws = EmulatedAWS(function_python=Path("/nonexistent/python"))
    with pytest.raises(EmulatedAWSError, match=r"/nonexistent/python.*make setup"):
        aws.start()


def test_address_before_the_start_is_an_error() -> None:
    with pytest.raises(EmulatedAWSError, match="start"):
        _ = EmulatedAWS().endpoint


def test_environment_names_the_emulator_and_no_account_of_the_user(
    aws: EmulatedAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "any")
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "111111111111")
    monkeypatch.setenv("NO_PROXY", "example.com")
    environment = aws.environment()
    assert environment["AWS_ENDPOINT_URL"] == aws.endpoint
    assert environment["AWS_REGION"] == REGION
    assert environment["NO_PROXY"] == "127.0.0.1,example.com"
    assert not environment.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN", "CDK_DEFAULT_ACCOUNT"}


def test_client_reaches_the_emulator_whatever_the_user_s_settings(
    aws: EmulatedAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(aws, "_session", None)
    assert aws.client("sts").get_caller_identity()["Account"] == "000000000000"
