"""An emulated AWS of one's own: started on a free port, gone without a trace afterwards.

    with EmulatedAWS() as aws:
        aws.client("sqs").create_queue(QueueName="any")
        subprocess.run(["cdk", "deploy"], env=aws.environment())

What it does as AWS does is listed in `local/emulator`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import boto3
import botocore.session
from botocore.config import Config

_T = TypeVar("_T")

HOST: Final = "127.0.0.1"
REGION: Final = "eu-west-1"
ACCOUNT: Final = "000000000000"

_PROJECT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_HEALTH_PAGE: Final = "/_ministack/ready"

# Once standard input ends, when the starting process is gone: kills the emulator's whole process
# group, with the functions in it, and removes its directory.
_WATCHDOG: Final = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null; exec rm -rf -- "$2"'


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How much faster than AWS the emulator's clocks run."""

    speed: float = 1.0
    """50 evaluates an alarm's period of 300 s over 6 s, lets queues report every 1.2 s, not every
    60 s, and a rule of `rate(15 minutes)` every 18 s."""

    async_retry_seconds: float = 60.0
    """Wait before the first retry of an asynchronous invocation, and half the wait before the
    second. The waits of throttled events, 1 s to 300 s on AWS, keep their proportion to it."""


class EmulatedAWSError(RuntimeError):
    """The emulator cannot be started, or is not running. The message says why."""


class EmulatedAWS:
    """One emulated AWS: an account in a region, in memory, on a free port of 127.0.0.1.

    `function_python` is the interpreter of the Python functions. Its environment stands for
    Lambda's runtime; by default the one that `make setup` installs beside this interpreter.

    It ends with `stop`, or with this process, whichever comes first, and takes the functions'
    processes and every file with it.
    """

    def __init__(
        self, *, timing: Timing | None = None, function_python: Path | None = None
    ) -> None:
        self._timing = timing or Timing()
        self._function_python = function_python or Path(sys.prefix, "lambda", "bin", "python")
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._endpoint: str | None = None
        self._session: boto3.session.Session | None = None
        self._session_lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`. `EmulatedAWSError` unless it has been started."""
        if self._endpoint is None:
            raise EmulatedAWSError("The emulated AWS has no address before start() is called.")
        return self._endpoint

    @property
    def running(self) -> bool:
        """Whether the emulator's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the emulator and return once it answers. Nothing happens if it runs.

        Raises `EmulatedAWSError` with the end of the emulator's log when it gives up.
        """
        if self.running:
            return
        if not self._function_python.is_file():
            raise EmulatedAWSError(
                f"There is no {self._function_python}, the interpreter of the functions. "
                "`make setup` installs it."
            )
        self.stop()
        self._directory = Path(tempfile.mkdtemp(prefix="emulated-aws-"))
        try:
            process = self._launch(self._directory)
            self._endpoint = self._wait_until(self._announced_endpoint, process)
            self._wait_until(self._answers, process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the emulator and its functions and remove what they wrote. All state is lost."""
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
        if self._process is not None:
            # In memory, and about to go: nothing is worth an orderly shutdown. The group outlives
            # an emulator that ended by itself, if functions are left in it.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=_STOP_SECONDS)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._watchdog = self._process = self._directory = None
        self._endpoint = self._session = None

    def environment(self) -> dict[str, str]:
        """Variables for a subprocess such as `cdk`: this process's own, but for any AWS account.

        Raises `EmulatedAWSError` unless it has been started.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CDK_DEFAULT_"))
        }
        bypassed = [os.environ[name] for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)]
        no_proxy = ",".join([HOST, *bypassed[:1]])
        return {
            **inherited,
            **client_variables(self.endpoint),
            # No profile of this user's.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    def client(self, service: str) -> Any:
        """Return a new boto3 client of a service, whatever AWS settings this process has.

        Raises `EmulatedAWSError` unless it has been started.
        """
        endpoint = self.endpoint
        with self._session_lock:  # sessions are not safe to share between threads, clients are
            if self._session is None:
                self._session = _session()
            client: Any = self._session.client(
                service,  # type: ignore[call-overload]
                endpoint_url=endpoint,
                config=Config(proxies={}, retries={"total_max_attempts": 1}),
            )
        return client

    @property
    def directory(self) -> Path:
        """Where others may put what has to go with it. `EmulatedAWSError` unless it has started."""
        if self._directory is None:
            raise EmulatedAWSError("The emulated AWS has no directory before start() is called.")
        return self._directory

    def log(self) -> str:
        """Return what the emulator has written so far. Empty when it is not started."""
        if self._directory is None:
            return ""
        return (self._directory / "emulator.log").read_text(encoding="utf-8", errors="replace")

    def _launch(self, directory: Path) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "local.emulator"),
            *("--function-python", str(self._function_python.absolute())),
            *("--region", REGION),
            *("--speed", str(self._timing.speed)),
            *("--async-retry-seconds", str(self._timing.async_retry_seconds)),
        ]
        # Of this process's variables only the path: functions in Node see the emulator's own.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        environment = {"PATH": path, "TMPDIR": str(directory), "HOME": str(directory)}
        with (directory / "emulator.log").open("wb") as log:
            # A session of its own: Ctrl-C reaches this process, which then ends it in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_PROJECT,
                env=environment,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "sh", str(self._process.pid), str(directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self._process

    def _announced_endpoint(self) -> str | None:
        """Return the address that the emulator printed, if it has: no port is guessed."""
        found = re.search(r"^Serving on (\S+)$", self.log(), re.MULTILINE)
        return found and found[1]

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError):
            opener.open(self.endpoint + _HEALTH_PAGE, timeout=5).close()
            return True
        return False

    def _wait_until(
        self, condition: Callable[[], _T | None], process: subprocess.Popen[bytes]
    ) -> _T:
        """Return the first answer of `condition` that is true."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if answer := condition():
                return answer
            with suppress(subprocess.TimeoutExpired):  # the pause ends early when the process does
                process.wait(timeout=0.01)
                reason = f"The emulator ended with exit code {process.returncode}"
                raise EmulatedAWSError(f"{reason} while starting:\n{self.log()[-2000:]}")
        raise EmulatedAWSError(
            f"The emulator did not answer within {_START_SECONDS:.0f} s:\n{self.log()[-2000:]}"
        )


def client_variables(endpoint: str) -> dict[str, str]:
    """Return the variables by which AWS's clients reach an emulated AWS; it takes any key."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _session() -> boto3.session.Session:
    """Return a session that knows no profile and no settings file of this user's."""
    variables: dict[str, Any] = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return boto3.session.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator takes any
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=variables),
    )
