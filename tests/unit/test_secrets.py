"""Secrets come from Secrets Manager over its real protocol, and never stand in a message."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from settlement.adapters import secrets
from settlement.adapters.secrets import get_secret_value
from settlement.domain.clock import Deadline
from settlement.errors import SecretUnavailable
from tests.support.invocations import plenty_of_time
from tests.support.secrets_manager_server import (
    ARN,
    SECRET,
    Answer,
    SecretsManagerServer,
    error,
    secret_string,
)

KEY_ID, SECRET_KEY, TOKEN = "AKIAIOSFODNN7EXAMPLE", "an-example-secret-key", "an-example-token"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManagerServer]:
    with SecretsManagerServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)
        yield server


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of the function's role, as Lambda passes them."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which a test does not wait for."""
    pauses: list[float] = []
    monkeypatch.setattr(secrets, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


@contextmanager
def unavailable() -> Iterator[list[str]]:
    """What the error says, everywhere that a traceback would print it."""
    said: list[str] = []
    with pytest.raises(SecretUnavailable) as failure:
        yield said
    said += [str(failure.value), *traceback.format_exception(failure.value)]
    assert "marker" not in "".join(said)


def expected_signature(request: AWSRequest) -> str:
    """What botocore makes of the request that arrived."""
    signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed}
    seen = AWSRequest(request.method, request.url, headers, request.data)
    seen.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(KEY_ID, SECRET_KEY, TOKEN), "secretsmanager", "eu-west-1")
    return str(auth.signature(auth.string_to_sign(seen, auth.canonical_request(seen)), seen))


def test_the_secret_is_the_json_of_its_string(server: SecretsManagerServer) -> None:
    assert get_secret_value(ARN, plenty_of_time()) == SECRET


def test_the_request_is_get_secret_value_of_the_arn(server: SecretsManagerServer) -> None:
    get_secret_value(ARN, plenty_of_time())
    [request] = server.requests
    assert request.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert request.data == json.dumps({"SecretId": ARN}).encode()


def test_the_request_is_signed_as_botocore_signs_it(server: SecretsManagerServer) -> None:
    get_secret_value(ARN, plenty_of_time())
    [request] = server.requests
    authorization = request.headers["Authorization"]
    assert authorization.endswith(f"Signature={expected_signature(request)}")
    assert "/eu-west-1/secretsmanager/aws4_request, SignedHeaders=" in authorization
    assert {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(
        authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    )


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "DecryptionFailure"]
)
def test_a_refusal_is_named_and_not_tried_again(server: SecretsManagerServer, code: str) -> None:
    server.answers = [error(400, code)]
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert f"{ARN} gave {code}" in said[0]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [error(400, "ThrottlingException"), error(500, "InternalServiceError"), (503, "<html>busy")],
    ids=["throttled", "internal", "no JSON"],
)
def test_a_passing_failure_is_tried_again(
    server: SecretsManagerServer, pauses: list[float], answer: Answer
) -> None:
    server.answers = [answer, answer, secret_string(SECRET)]
    assert get_secret_value(ARN, plenty_of_time()) == SECRET
    assert pauses == pytest.approx([0.2, 0.4])


def test_a_lasting_throttle_gives_up_after_three_attempts(server: SecretsManagerServer) -> None:
    server.answers = [error(400, "ThrottlingException")]
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert "ThrottlingException" in said[0]
    assert len(server.requests) == 3


def test_an_error_without_a_code_is_known_by_its_status(server: SecretsManagerServer) -> None:
    server.answers = [(418, "whsec_marker")]
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert "HTTP 418" in said[0]


@pytest.mark.parametrize(
    "answer",
    [
        secret_string("whsec_marker"),
        secret_string('["whsec_marker"]'),
        secret_string('{"webhook_secret": "whsec_marker"'),
        (200, {"ARN": ARN, "SecretBinary": "d2hzZWNfbWFya2Vy"}),
        (200, {"SecretString": None}),
        (200, ["whsec_marker"]),
        (200, "whsec_marker"),
        (200, ""),
    ],
    ids=repr,
)
def test_what_is_no_json_object_is_refused_without_being_quoted(
    server: SecretsManagerServer, answer: Answer
) -> None:
    server.answers = [answer]
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert said[0] == f"{ARN} does not hold a JSON object"


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_deadline(
    server: SecretsManagerServer,
) -> None:
    server.answers = [None]
    with unavailable() as said:
        get_secret_value(ARN, Deadline(0.2))
    assert "ReadTimeoutError" in said[0]
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_tried_three_times(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert "EndpointConnectionError" in said[0]
    assert len(pauses) == 2


def test_nothing_is_asked_when_no_time_is_left(server: SecretsManagerServer) -> None:
    with unavailable() as said:
        get_secret_value(ARN, Deadline(0.0))
    assert "no time was left" in said[0]
    assert server.requests == []


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named(
    server: SecretsManagerServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with unavailable() as said:
        get_secret_value(ARN, plenty_of_time())
    assert f"{name} is not set" in said[0]


@pytest.mark.parametrize(
    "arn",
    ["", "stripe", "arn:aws:s3:::bucket", "arn:aws:secretsmanager:eu-west-1", "a:b:c:d:e:f:g"],
)
def test_what_is_no_arn_of_a_secret_is_refused(server: SecretsManagerServer, arn: str) -> None:
    with unavailable() as said:
        get_secret_value(arn, plenty_of_time())
    assert "is not the ARN of a secret" in said[0]
    assert server.requests == []


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
        ("aws-us-gov", "us-gov-west-1", "secretsmanager.us-gov-west-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "secretsmanager.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_arn_tells_where_to_ask(
    monkeypatch: pytest.MonkeyPatch, partition: str, region: str, host: str
) -> None:
    asked: list[str] = []

    def send(_self: URLLib3Session, request: Any) -> Any:
        asked.append(request.url)
        return SimpleNamespace(status_code=200, content=b'{"SecretString": "{}"}')

    monkeypatch.setattr(URLLib3Session, "send", send)
    arn = f"arn:{partition}:secretsmanager:{region}:123456789012:secret:any-AbCdEf"
    assert get_secret_value(arn, plenty_of_time()) == {}
    assert asked == [f"https://{host}/"]


def test_the_signed_request_is_not_logged_at_any_level(
    server: SecretsManagerServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under Lambda's log level DEBUG, which is the root logger's."""
    for name in ("botocore", "urllib3"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        get_secret_value(ARN, plenty_of_time())
    assert caplog.text == ""
