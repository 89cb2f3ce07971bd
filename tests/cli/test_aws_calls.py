"""Promises about single calls to AWS: how long they take, how often they are made, what is lost."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, ReadTimeoutError
from rich.console import Console

from local.servers.emulated_aws import EmulatedAWS
from local.waiting import wait_for
from stripe_settlement_cli import aws as aws_module
from stripe_settlement_cli import redrive
from stripe_settlement_cli.aws import RESPONSE_MARGIN, Clients
from stripe_settlement_cli.circuit_breaker import CircuitBreaker
from stripe_settlement_cli.deployment import FailureQueue, Finder
from stripe_settlement_cli.redrive import QueueRedrive, Run
from stripe_settlement_cli.report import QueueProgress
from tests.cli.conftest import Ended
from tests.cli.stand_in import TIMEOUT, Counts, StandIn
from tests.support.events import any_paid_event, eventbridge_envelope

pytestmark = pytest.mark.xdist_group("cli")


@pytest.fixture
def clients(run: Callable[..., Ended]) -> Clients:
    """Clients of the emulated AWS, to which the environment has been pointed."""
    return Clients()


@pytest.fixture
def on_failure(aws: EmulatedAWS, stack: StandIn) -> FailureQueue:
    (queue,) = Finder(aws.client, stack.name).find().only([stack.queue_name("OnFailure")])
    return queue


def redrive_with(sqs: Any, queue: FailureQueue, clients: Clients) -> QueueRedrive:
    invoker = clients.invoker(function_timeout=TIMEOUT, at_once=4)
    run = Run(sqs, invoker, threading.Event(), CircuitBreaker())
    return QueueRedrive(queue, run, QueueProgress(Console(file=io.StringIO()), queue.name))


def refuse(operation: str, code: str) -> Callable[..., None]:
    def raise_error(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)

    return raise_error


def test_an_expired_receipt_handle_loses_nothing(
    stack: StandIn, on_failure: FailureQueue, clients: Clients
) -> None:
    event = stack.failed()
    sqs = clients.client("sqs")
    sqs.meta.events.register(
        "before-call.sqs.DeleteMessage", refuse("DeleteMessage", "ReceiptHandleIsInvalid")
    )

    report = redrive_with(sqs, on_failure, clients).redrive()

    assert (stack.settled(), report.outcomes["settled"]) == ({event}, 1)
    assert [each.reason.kind for each in report.retained] == ["not deleted"]
    assert stack.counts("OnFailure") == Counts(1, 0)


def test_a_message_released_between_a_receive_and_a_count_is_not_missed(
    stack: StandIn, on_failure: FailureQueue, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "WORKERS", 1)
    event = stack.failed()
    release = stack.hide("OnFailure", seconds=600)
    steps = iter([lambda: None, release])  # It counts once at the start.
    sqs = clients.client("sqs")

    def count(**_: object) -> None:
        next(steps, lambda: None)()

    sqs.meta.events.register("before-call.sqs.GetQueueAttributes", count)

    redrive_with(sqs, on_failure, clients).redrive()

    assert stack.settled() == {event}


def test_a_message_is_deleted_with_its_newest_receipt_handle(
    stack: StandIn, on_failure: FailureQueue, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "VISIBILITY_MARGIN", 1 - TIMEOUT)
    monkeypatch.setattr(redrive, "PATIENCE_SECONDS", 1.0)
    event = stack.failed()
    stack.close(event)
    sqs = clients.client("sqs")
    handles: list[str] = []

    def received(parsed: dict[str, Any], **_: object) -> None:
        handles.extend(each["ReceiptHandle"] for each in parsed.get("Messages", []))
        if len(handles) > 1:
            stack.open_all()

    deleted: list[str] = []
    sqs.meta.events.register("after-call.sqs.ReceiveMessage", received)
    sqs.meta.events.register(
        "provide-client-params.sqs.DeleteMessage",
        lambda params, **_: deleted.append(params["ReceiptHandle"]),
    )

    redrive_with(sqs, on_failure, clients).redrive()

    assert len(handles) > 1
    assert deleted[0] in handles[1:]


@contextmanager
def endpoint(*, hangs_up: bool) -> Iterator[str]:
    """An address that takes every request and never responds: it stays silent, or hangs up."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.recv(1 << 16)
                    connection.close() if hangs_up else held.append(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=30)
        assert not thread.is_alive()
    for each in held:
        each.close()


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_invocation_without_a_response_is_retained_as_no_answer(
    stack: StandIn,
    on_failure: FailureQueue,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
    hangs_up: bool,
) -> None:
    monkeypatch.setattr(aws_module, "RESPONSE_MARGIN", 1 - TIMEOUT)
    stack.failed()
    with endpoint(hangs_up=hangs_up) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)

        report = redrive_with(clients.client("sqs"), on_failure, Clients()).redrive()

    assert [each.reason.kind for each in report.retained] == ["no answer"]
    assert report.unreadable is None
    assert stack.counts("OnFailure") == Counts(1, 0)


def test_a_queue_that_cannot_be_read_is_reported(
    stack: StandIn, on_failure: FailureQueue, clients: Clients
) -> None:
    stack.failed()
    sqs = clients.client("sqs")
    sqs.meta.events.register(
        "before-call.sqs.ReceiveMessage", refuse("ReceiveMessage", "AccessDenied")
    )

    report = redrive_with(sqs, on_failure, clients).redrive()

    assert report.unreadable is not None
    assert "AccessDenied" in report.unreadable
    assert not report.empty


def test_a_defect_of_ours_releases_every_message(
    stack: StandIn,
    on_failure: FailureQueue,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    stack.failed()
    monkeypatch.setattr(CircuitBreaker, "count", defect)
    work = redrive_with(clients.client("sqs"), on_failure, clients)

    with pytest.raises(ZeroDivisionError):
        work.redrive()

    assert stack.counts("OnFailure") == Counts(1, 0)


def test_a_message_is_hidden_for_longer_than_a_response_may_take(
    on_failure: FailureQueue, clients: Clients
) -> None:
    work = redrive_with(clients.client("sqs"), on_failure, clients)
    backoff_of_botocore = 15

    assert work.report.visibility_timeout > TIMEOUT + RESPONSE_MARGIN + backoff_of_botocore


def test_a_response_may_take_longer_than_the_function(clients: Clients) -> None:
    invoker = clients.invoker(function_timeout=60, at_once=4)

    assert invoker.meta.config.read_timeout > 60


def test_a_response_that_does_not_come_is_not_asked_for_twice(
    stack: StandIn, clients: Clients
) -> None:
    event = any_paid_event()
    stack.close(event["id"])
    invoker = clients.invoker(function_timeout=1 - RESPONSE_MARGIN, at_once=1)

    with pytest.raises(ReadTimeoutError):
        invoker.invoke(
            FunctionName=stack.function_arn(), Payload=json.dumps(eventbridge_envelope(event))
        )
    stack.open_all()
    wait_for(lambda: stack.settled() or None, "the function to end")

    assert stack.calls(event["id"]) == 1


def test_a_throttled_invocation_is_tried_again(clients: Clients) -> None:
    statuses = [429, 200]
    invoker = clients.invoker(function_timeout=60, at_once=1)

    def answer(request: Any, **_: object) -> AWSResponse:
        status, headers = statuses.pop(0), HTTPHeaders()
        if status == 429:
            headers["x-amzn-ErrorType"] = "TooManyRequestsException"
        return AWSResponse(request.url, status, headers, Raw(b"{}"))

    invoker.meta.events.register("before-send.lambda.Invoke", answer)
    invoker.invoke(FunctionName="any")

    assert statuses == []


class Raw:
    """A response's body, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]

    def read(self, _size: int | None = None) -> bytes:
        content, self._content = self._content, b""
        return content
