"""`python -m local` where no cloud is needed; what it does in one is in tests/e2e."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import __main__ as command_line
from local.cloud import Addresses
from local.shop import Order


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / ".local" / "outputs.json"


@pytest.fixture(autouse=True)
def this_process_keeps_its_signals() -> Iterator[None]:
    signs = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(sign) for sign in signs]
    yield
    for sign, handler in zip(signs, before, strict=True):
        signal.signal(sign, handler)


def any_addresses(**changes: object) -> Addresses:
    queue = "http://127.0.0.1:4566/000000000000/"
    values: dict[str, object] = {
        "stack": "any",
        "region": "eu-west-1",
        "endpoint_url": "http://127.0.0.1:4566",
        "webhook_url": "http://127.0.0.1:4566/any",
        "event_bus": "any",
        "event_rule_arn": "any",
        "event_function": "any",
        "webhook_function": "any",
        "delivery_dlq_url": queue + "dlq",
        "on_failure_queue_url": queue + "on-failure",
        "webhook_on_failure_queue_url": queue + "webhook-on-failure",
        "topic_arn": "any",
        "db_host": "127.0.0.1",
        "db_port": 3306,
        "db_name": "any",
        "db_user": "any",
        "db_password": "any",
        "stripe_url": "http://127.0.0.1:12111",
        "stripe_api_key": "sk_test_any",
        **changes,
    }
    return Addresses(**values)  # type: ignore[arg-type]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


ORDER = Order(id=1, ticket_id=1, discount_code_id=None, quantity=2, amount=5000, currency="eur")


@pytest.fixture
def emulator() -> Iterator[str]:
    """The address of something that answers, as the emulated AWS of a running cloud does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_send_without_a_cloud_says_how_to_start_one(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["send", "--outputs", str(outputs)]) == 1
    assert "start one with `make cloud`" in capsys.readouterr().err


def test_send_to_a_cloud_that_was_killed_says_so(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = any_addresses(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    command_line._write(outputs, gone, [ORDER])
    assert command_line.main(["send", "--outputs", str(outputs)]) == 1
    assert "Is it still running?" in capsys.readouterr().err


def test_order_that_there_is_not_is_named_with_those_there_are(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line._write(outputs, any_addresses(), [ORDER])
    assert command_line.main(["send", "--order", "7", "--outputs", str(outputs)]) == 1
    assert "There is no order 7. The orders are 1." in capsys.readouterr().err


def test_addresses_are_for_their_owner_alone(outputs: Path) -> None:
    command_line._write(outputs, any_addresses(), [])
    assert outputs.stat().st_mode & 0o777 == 0o600


def test_addresses_name_the_queues_too(outputs: Path) -> None:
    command_line._write(outputs, any_addresses(), [])
    values = json.loads(outputs.read_text())
    assert (values["delivery_dlq"], values["on_failure_queue"]) == ("dlq", "on-failure")
    assert values["webhook_on_failure_queue"] == "webhook-on-failure"


def test_cloud_that_ends_takes_its_addresses_with_it(outputs: Path) -> None:
    command_line._write(outputs, any_addresses(), [])
    command_line._remove(outputs, any_addresses())
    assert not outputs.exists()


def test_addresses_of_another_cloud_stay(outputs: Path) -> None:
    command_line._write(outputs, any_addresses(db_port=3307), [])
    command_line._remove(outputs, any_addresses())
    assert outputs.exists()


def test_second_cloud_is_refused_before_anything_is_started_and_told_its_way(
    outputs: Path, emulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line._write(outputs, any_addresses(endpoint_url=emulator), [])
    before = outputs.read_text()
    assert command_line.main(["cloud", "--outputs", str(outputs)]) == 1
    assert "--outputs FILE" in capsys.readouterr().err
    assert outputs.read_text() == before


def test_cloud_that_was_faster_keeps_its_addresses(outputs: Path, emulator: str) -> None:
    command_line._write(outputs, any_addresses(endpoint_url=emulator), [])
    with pytest.raises(ValueError, match="is running already"):
        command_line._write(outputs, any_addresses(), [])


def test_addresses_of_a_killed_cloud_are_replaced(outputs: Path) -> None:
    gone = f"http://127.0.0.1:{closed_port()}"
    command_line._write(outputs, any_addresses(endpoint_url=gone), [])
    command_line._write(outputs, any_addresses(), [ORDER])
    assert command_line._read(outputs) == (any_addresses(), [ORDER])


def test_addresses_that_another_version_wrote_are_an_error_that_says_so(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line._write(outputs, any_addresses(), [ORDER])
    written = json.loads(outputs.read_text())
    del written["stripe_url"]
    outputs.write_text(json.dumps(written))
    for command in ("send", "cloud"):
        assert command_line.main([command, "--outputs", str(outputs)]) == 1
        assert "has no stripe_url: another version" in capsys.readouterr().err


@pytest.mark.parametrize("route", ["mail", ""])
def test_route_that_there_is_not_is_refused(route: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        command_line.main(["send", "--route", route])
    assert exit_.value.code == 2
    assert "'eventbridge', 'webhook'" in capsys.readouterr().err


def test_database_elsewhere_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DB_NAME", "DB_USER", "DB_PASSWORD"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("DB_HOST", "db.example.com")
    assert command_line.main(["run"]) == 1
    assert "has to be on this machine" in capsys.readouterr().err
