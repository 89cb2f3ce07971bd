"""Lambda's Runtime API on a port of this machine, as far as AWS's runtime client uses it.

Written after "Using the Lambda runtime API for custom runtimes" (Lambda Developer Guide) and the
OpenAPI document behind it, version 2018-06-01. One execution environment has one of it, and takes
one invocation after the other.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any, Self
from uuid import uuid4

from tests.support.waiting import join

PREFIX = "/2018-06-01/runtime"
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:{name}"
_REPORT = re.compile(rf"{PREFIX}/(?:(init)|invocation/([^/]+))/(response|error)")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the runtime posted: an answer, or an error of an invocation or of its start."""

    is_error: bool
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which both kinds send as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Everything that leaves the function with it."""
        return json.dumps(self.headers) + self.body.decode()


@dataclass(kw_only=True)
class Invocation:
    """One event on its way through the function."""

    event: object
    deadline: float
    """Unix seconds at which Lambda would end the invocation."""
    request_id: str = field(default_factory=lambda: str(uuid4()))
    report: Report | None = None


class RuntimeAPI(ThreadingHTTPServer):
    """Hands out invocations and keeps what is reported of them."""

    daemon_threads = True

    def __init__(self, function_name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.function_arn = FUNCTION_ARN.format(name=function_name)
        self.init_errors: list[Report] = []
        self.refused: list[tuple[str, str]] = []
        """(path, error type) of each request that the real API would have refused."""
        self.polls = 0
        """How often the runtime has asked for an invocation."""
        self.changed = Condition()
        """Notified when one of the above, or the report of an invocation, has changed."""
        self.current: Invocation | None = None
        self._queue: SimpleQueue[Invocation | None] = SimpleQueue()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def address(self) -> str:
        """What stands in ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self.shutdown()
        join(self._thread, "the server")
        self.server_close()

    def put(self, invocation: Invocation) -> None:
        """Hand it to the runtime as soon as that asks."""
        self._queue.put(invocation)

    def take(self) -> Invocation | None:
        """Wait for the next invocation; ``None`` when there will be none."""
        with self.changed:
            self.polls += 1
            self.changed.notify_all()
        invocation = self._queue.get()
        with self.changed:
            self.current = invocation
        return invocation

    def keep(self, request_id: str | None, report: Report) -> str | None:
        """Keep a report (``None``: of the start), or answer the type of error that refuses it."""
        with self.changed:
            if request_id is None:
                self.init_errors.append(report)
            elif self.current is None or self.current.request_id != request_id:
                return "InvalidRequestID"
            else:
                self.current.report, self.current = report, None
            self.changed.notify_all()
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One segment an answer: the client would wait for the second one (Nagle, delayed ACK).
    wbufsize = -1
    disable_nagle_algorithm = True
    server: RuntimeAPI

    def do_GET(self) -> None:
        if self.path != f"{PREFIX}/invocation/next":
            self._refuse(404, "NotFound")
        elif self.server.current is not None:
            self._refuse(403, "InvalidStateTransition")
        elif invocation := self.server.take():
            self._answer(
                200,
                invocation.event,
                {
                    "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": self.server.function_arn,
                    "Lambda-Runtime-Trace-Id": _trace_id(),
                },
            )
        else:
            self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = _REPORT.fullmatch(self.path)
        if path is None or (path[1] and path[3] == "response"):
            self._refuse(404, "NotFound")
            return
        report = Report(
            is_error=path[3] == "error",
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        if error_type := self.server.keep(path[2], report):
            self._refuse(403, error_type)
        else:
            self._answer(202, {"status": "OK"})

    def _refuse(self, status: int, error_type: str) -> None:
        self.server.refused.append((self.path, error_type))
        self._answer(status, {"errorMessage": error_type, "errorType": error_type})

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, content in (headers or {}).items():
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _trace_id() -> str:
    """The tracing header ("X-Ray concepts", AWS X-Ray Developer Guide)."""
    return f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]};Parent={uuid4().hex[:16]};Sampled=1"
