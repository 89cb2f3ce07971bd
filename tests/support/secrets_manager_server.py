"""Secrets Manager on a port of this machine, as far as a test needs it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Self

from botocore.awsrequest import AWSRequest

from tests.support.waiting import SECONDS, join

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stripe-AbCdEf"
SECRET = {"secret_key": "sk_test_marker", "webhook_secret": "whsec_marker"}

Answer = tuple[int, object]
"""A status code and a body: a text, or what is sent as JSON."""


def secret_string(value: object) -> Answer:
    """The answer that holds a secret ("GetSecretValue", AWS Secrets Manager API Reference)."""
    text = value if isinstance(value, str) else json.dumps(value)
    return 200, {"ARN": ARN, "Name": "stripe", "SecretString": text, "VersionStages": []}


def error(status: int, code: str) -> Answer:
    """The answer that refuses."""
    return status, {"__type": f"com.amazonaws.secretsmanager#{code}", "Message": "whsec_marker"}


class SecretsManagerServer(ThreadingHTTPServer):
    """Gives its answers in turn, the last for ever; ``None`` is never to answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer | None] = [secret_string(SECRET)]
        self.requests: list[AWSRequest] = []
        self.stopping = Event()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        join(self._thread, "the server")
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: SecretsManagerServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://{self.headers['Host']}{self.path}"
        self.server.requests.append(AWSRequest("POST", url, dict(self.headers), body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            self.server.stopping.wait(SECONDS)
            return
        status, content = answer
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""
