"""Cold start: from a fresh interpreter to the first settled order, ours and the ordinary way."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks import ROOT
from benchmarks.candidates import environment
from benchmarks.workload import PASSWORD, USER, EventPrinter, Workload

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cachao-database-AbCdEf"
OURS, ORDINARY = "eventbridge_handler", "benchmarks.naive_handler"
PLAIN, BY_ARN = "plain settings", "secrets by ARN"
WARM_UPS = 2

# What Lambda's own bootstrap does: import the module, call the handler. Then it says so, by a
# descriptor that no log can get into.
PROBE = """\
import importlib, json, os, sys

class Context:
    aws_request_id = "00000000-0000-4000-8000-000000000000"
    def get_remaining_time_in_millis(self):
        return 60_000

module, descriptor = sys.argv[1], int(sys.argv[2])
event = json.load(sys.stdin)
answer = importlib.import_module(module).handler(event, Context())
os.write(descriptor, answer["outcome"].encode())
"""
BARE = "import os, sys; os.write(int(sys.argv[2]), b'settled')"


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Median seconds from starting Python to the first settled order, interpreter included."""

    settings: str
    ours: float
    ordinary: float

    @property
    def ratio(self) -> float:
        """Ours as a part of the ordinary one."""
        return self.ours / self.ordinary


@dataclass(frozen=True, kw_only=True)
class ColdStarts:
    """All of them, from one run."""

    bare_interpreter: float
    """Median seconds until a fresh Python runs its first line."""
    plain: ColdStart
    by_arn: ColdStart
    rounds: int


def measure(
    workload: Workload, *, first_order: int, rounds: int, progress: Callable[[str], None]
) -> ColdStarts:
    """Starts each variant by turns, `rounds` times after warming up (compiled files exist).

    Settles one order a start, from `first_order` on.
    """
    printer = EventPrinter()
    order_id = first_order
    with _secrets_manager() as endpoint:
        settings = {PLAIN: _plain(workload), BY_ARN: _by_arn(workload, endpoint)}
        variants = [(kind, module, PROBE) for kind in settings for module in (OURS, ORDINARY)] + [
            (PLAIN, "", BARE)
        ]
        seconds: dict[tuple[str, str], list[float]] = {
            (kind, module): [] for kind, module, _ in variants
        }
        for number in range(rounds + WARM_UPS):
            progress(f"cold start: round {number + 1} of {rounds + WARM_UPS}")
            for kind, module, program in variants:
                event = printer.envelope(order_id)
                took = _start(program, module, json.dumps(event), settings[kind])
                if number >= WARM_UPS:
                    seconds[kind, module].append(took)
                order_id += 1
    medians = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    plain, by_arn = (
        ColdStart(settings=kind, ours=medians[kind, OURS], ordinary=medians[kind, ORDINARY])
        for kind in (PLAIN, BY_ARN)
    )
    return ColdStarts(
        bare_interpreter=medians[PLAIN, ""], plain=plain, by_arn=by_arn, rounds=rounds
    )


def _start(program: str, module: str, event: str, variables: dict[str, str]) -> float:
    reading, writing = os.pipe()
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, module, str(writing)],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
        text=True,
    ) as process:
        os.close(writing)
        if process.stdin is None:
            raise RuntimeError("the probe has no input")
        process.stdin.write(event)
        process.stdin.close()
        process.stdin = None
        outcome = os.read(reading, 64)
        took = time.perf_counter() - began
        os.close(reading)
        _, errors = process.communicate()
    if outcome != b"settled":
        raise RuntimeError(f"{module} did not settle its order:\n{errors[-2000:]}")
    return took


def _plain(workload: Workload) -> dict[str, str]:
    inherited = {
        # Some shells forbid Python to keep the compiled files that a warm start finds.
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DB_", "POWERTOOLS_", "PYTHON"))
    }
    return {
        **inherited,
        **environment(workload.settings()),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "lambdas"), str(ROOT))),
    }


def _by_arn(workload: Workload, endpoint: str) -> dict[str, str]:
    variables = _plain(workload)
    del variables["DB_USER"], variables["DB_PASSWORD"]
    return {
        **variables,
        "DB_SECRET_ARN": SECRET_ARN,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
    }


class _SecretsManager(BaseHTTPRequestHandler):
    """Answers every call as GetSecretValue does; no signature is checked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        secret = json.dumps({"username": USER, "password": PASSWORD})
        body = json.dumps({"ARN": SECRET_ARN, "Name": "database", "SecretString": secret}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def _secrets_manager() -> Iterator[str]:
    """A stand-in for AWS Secrets Manager on 127.0.0.1: its address. Plain HTTP, no distance."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _SecretsManager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
