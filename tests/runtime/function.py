"""One execution environment of Lambda: the function's process under AWS's own runtime client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.runtime.runtime_api import Invocation, Report, RuntimeAPI

PYTHON = Path(sys.prefix, "lambda", "bin", "python")
"""Lambda's runtime: the interpreter that has the runtime client and boto3, and nothing of ours."""

NAME = "StripePaymentFunction"
MEMORY_MB = "512"
PATIENCE_SECONDS = 60.0
"""How long a process may take to start or to end before the test gives up on it."""


class TaskTimedOut(Exception):
    """There was no answer before the deadline: Lambda ends the process and counts an error."""


class Function:
    """A process that starts as Lambda starts it and is invoked as Lambda invokes it.

    Args:
        handler: ``_HANDLER``, as it is configured.
        task_root: the unpacked asset.
        configuration: the function's own variables; it has no others but Lambda's.
        output: the file for what the process writes, its log.
    """

    def __init__(
        self, handler: str, *, task_root: Path, configuration: Mapping[str, str], output: Path
    ) -> None:
        self._handler = handler
        self._task_root = task_root
        self._configuration = configuration
        self._output = output
        self._api = RuntimeAPI(NAME)
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self._api.__enter__()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "awslambdaric", self._handler],
                cwd=self._task_root,
                env={**self._lambdas_own(), **self._configuration},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self._api.__exit__()

    @property
    def init_errors(self) -> list[Report]:
        """What the runtime posted to ``/init/error``."""
        return self._api.init_errors

    @property
    def polls(self) -> int:
        """How often the runtime has asked for an invocation."""
        return self._api.polls

    def wait_until_started(self) -> None:
        """Return once the function asks for its first invocation: its start is over."""
        self._wait(lambda: self._api.polls > 0, PATIENCE_SECONDS, "the start")

    def wait_until_ended(self) -> int:
        """The exit code, once the process has ended by itself."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def invoke(self, event: object, *, seconds: float = 30.0) -> Report:
        """Hand over one event and wait for what comes of it.

        Args:
            event: What can be JSON.
            seconds: How long the function may take, from when it has started.

        Raises:
            TaskTimedOut: no answer within that time; the process was ended, as Lambda does.
        """
        return self.deliver(event, seconds=seconds).report  # type: ignore[return-value]

    def deliver(self, event: object, *, seconds: float = 30.0) -> Invocation:
        """As `invoke`, for who wants to know the request's id. Its report is set."""
        self.wait_until_started()
        invocation = Invocation(event=event, deadline=time.time() + seconds)
        self._api.put(invocation)
        try:
            self._wait(lambda: invocation.report is not None, seconds, "the answer")
        except TimeoutError:
            self.process.kill()
            raise TaskTimedOut(f"no answer within {seconds:.2f} seconds") from None
        assert self._api.refused == []
        return invocation

    def lines(self) -> list[dict[str, Any]]:
        """What the process has written so far: each line is JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        """What the process has written so far."""
        return self._output.read_text(encoding="utf-8")

    def _wait(self, is_so: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something is so, the time is over, or the process has ended without it."""
        until = time.monotonic() + seconds
        with self._api.changed:
            while not is_so():
                # An ended process notifies nobody, hence the short waits.
                if self.process.poll() is not None:
                    raise AssertionError(f"the process ended before {what}:\n{self.text()}")
                if time.monotonic() >= until:
                    raise TimeoutError(what)
                self._api.changed.wait(min(0.05, max(until - time.monotonic(), 0)))

    def _lambdas_own(self) -> dict[str, str]:
        """What Lambda sets ("Defined runtime environment variables", Lambda Developer Guide)."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return {
            "_HANDLER": self._handler,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "LAMBDA_RUNTIME_DIR": str(PYTHON.parent),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{version}",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "a-role-s-secret-key",
            "AWS_SESSION_TOKEN": "a-role-s-session-token",
            "AWS_LAMBDA_FUNCTION_NAME": NAME,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": MEMORY_MB,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{NAME}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/18/[$LATEST]0123456789abcdef0123456789abcdef",
            # As the functions are deployed: JSON logs.
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        }
