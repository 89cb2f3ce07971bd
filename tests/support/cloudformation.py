"""CloudFormation, as far as a custom resource sees it: requests, and where their answers go."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, Self

from tests.support.waiting import join

STACK_ID = "arn:aws:cloudformation:eu-west-1:111122223333:stack/cachao/5f3c-any"


class CloudFormation(HTTPServer):
    """Waits for answers on a port of this machine; the first ones may be refused."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _AnswerHandler)
        self.refusals = refusals
        self.answers: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        join(self._thread, "the server of the answers")
        self.server_close()

    @property
    def url(self) -> str:
        """Where an answer goes."""
        return f"http://127.0.0.1:{self.server_port}/answer?signed=yes"

    def request(self, kind: str = "Create", **changes: object) -> dict[str, Any]:
        """Return a request as CloudFormation sends it, with what the test is about."""
        return {
            "RequestType": kind,
            "RequestId": "request-1",
            "StackId": STACK_ID,
            "ResponseURL": self.url,
            "ResourceType": "Custom::Any",
            "LogicalResourceId": "Endpoint1",
            "ResourceProperties": {"Url": "https://example.com"},
            **changes,
        }


class _AnswerHandler(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = self.server.refusals > 0
        self.server.refusals -= 1
        if not refused:
            self.server.content_types.append(self.headers["Content-Type"])
            self.server.answers.append(json.loads(body))
        self.send_response(503 if refused else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
