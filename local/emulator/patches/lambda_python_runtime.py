"""Python functions run in AWS's own runtime client, in an environment like Lambda's.

On AWS (Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle" and
"Working with Lambda environment variables") a managed Python runtime is `awslambdaric` calling the
Runtime API. It sees Lambda's variables and the function's own, and nothing of anyone else's. A
function that outlives its timeout is ended with its environment, and the next invocation gets a
fresh one.

MiniStack runs Python functions in the interpreter it runs in itself, under a loader of its own that
sees the emulator's whole environment and every package in it, and is replaced after every error of
a handler. It does serve the Runtime API, for `provided.*` runtimes. Here Python functions go that
way: one interpreter stands for whatever `python3.x` a function names. Functions in Node stay as
MiniStack runs them.
"""

import array
import fcntl
import os
import select
import tempfile
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import IO, Any

from local.emulator import Settings
from local.emulator.modules import lambda_runtime, lambda_svc
from local.emulator.patching import replace

# `-m` puts the working directory, which is the function's code, first on the import path;
# `-s` keeps the user's own site-packages off it.
_BOOTSTRAP = '#!/bin/sh\nexec "{python}" -s -m awslambdaric "$_HANDLER"\n'


def apply(settings: Settings) -> None:
    """Send Python functions to the Runtime API."""
    bootstrap = _BOOTSTRAP.format(python=settings.function_python)

    def code_directory(original: Callable[..., str], code_zip: bytes) -> str:
        directory = original(code_zip)
        script = Path(directory, "bootstrap")
        if not script.exists():
            # Whole or not at all: other threads start the same code at the same moment.
            with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as written:
                written.write(bootstrap)
            Path(written.name).chmod(0o755)
            Path(written.name).rename(script)
        return directory

    def environment(
        original: Callable[..., dict[str, str]], config: dict[str, Any], directory: str, port: int
    ) -> dict[str, str]:
        given = original(config, directory, port)
        return _environment(config, given, endpoint=settings.endpoint)

    replace(lambda_svc, "_provided_runtime_code_dir", code_directory)
    replace(lambda_svc, "_provided_worker_env", environment)
    replace(lambda_svc, "_execute_function_warm", _execute_warm)
    replace(lambda_runtime, "_worker_class_for", _worker_class)


def _is_python(config: dict[str, Any]) -> bool:
    return str(config.get("Runtime", "")).startswith("python")


def _execute_warm(
    original: Callable[..., Any], function: dict[str, Any], event: Any, request_id: str
) -> Any:
    if _is_python(function.get("config") or function):
        return lambda_svc._execute_function_provided_warm(function, event, request_id)
    return original(function, event, request_id)


def _worker_class(original: Callable[..., Any], config: dict[str, Any]) -> Any:
    return PythonWorker if _is_python(config) else original(config)


def _environment(config: dict[str, Any], given: dict[str, str], *, endpoint: str) -> dict[str, str]:
    """Return the variables Lambda defines, over the function's own.

    `given` is MiniStack's idea of them and holds the emulator's whole environment besides.
    """
    name = config["FunctionName"]
    logging = config.get("LoggingConfig") or {}
    from_lambda = (
        *("AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_FUNCTION_NAME"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "_HANDLER"),
    )
    variables = {
        **{key: str(value) for key, value in lambda_svc._runtime_env_vars(config).items()},
        **{key: given[key] for key in from_lambda if key in given},
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat", "Text"),
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup") or f"/aws/lambda/{name}",
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
        # Not Lambda's: how the SDK finds the emulator, and a home and a temporary directory of the
        # emulator's, where neither this user's AWS profiles nor anything left behind can be.
        "AWS_ENDPOINT_URL": endpoint,
        "HOME": os.environ["TMPDIR"],
        "TMPDIR": os.environ["TMPDIR"],
    }
    if level := logging.get("ApplicationLogLevel"):
        variables["AWS_LAMBDA_LOG_LEVEL"] = level
    return variables


class PythonWorker(lambda_runtime.ProvidedWorker):  # type: ignore[misc]
    """One execution environment: MiniStack's, with quick answers and complete logs.

    What a handler wrote stands in the pipe before its response arrives, so one look at the pipe is
    enough. MiniStack waits up to 50 ms for lines that other threads are still to carry over.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._output_lock = threading.Lock()
        self._unfinished_line = b""

    def _build_handler_class(self, *arguments: Any) -> Any:
        handler = super()._build_handler_class(*arguments)
        # Headers and body in one TCP segment, sent at once: 50 ms an invocation become 2 ms.
        handler.wbufsize = -1
        handler.disable_nagle_algorithm = True
        return handler

    def _pump_output(self, stream: IO[bytes], log_queue: "Queue[str]") -> None:
        os.set_blocking(stream.fileno(), False)
        while True:
            select.select([stream], [], [])
            with self._output_lock:
                if not self._read(stream, log_queue):
                    stream.close()
                    return

    def _drain_stderr_bounded(self, *_: Any, **__: Any) -> str:
        process = self._proc
        with self._output_lock:
            if process is not None and not process.stdout.closed and _waiting(process.stdout):
                self._read(process.stdout, self._stderr_queue)
        return str(self._drain_stderr())

    def _read(self, stream: IO[bytes], log_queue: "Queue[str]") -> bool:
        """Take over what the process has written. Return whether there may be more to come."""
        try:
            chunk = os.read(stream.fileno(), max(1, _waiting(stream)))
        except BlockingIOError:  # the other thread has been here since
            return True
        *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
        if not chunk and self._unfinished_line:
            lines, self._unfinished_line = [self._unfinished_line], b""
        for line in lines:
            if log_queue.full():
                log_queue.get_nowait()  # the oldest line goes: the process must not be held up
            log_queue.put_nowait(line.decode("utf-8", errors="replace").rstrip("\r"))
        return bool(chunk)


def _waiting(stream: IO[bytes]) -> int:
    """How many bytes the pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(stream, termios.FIONREAD, count)
    return count[0]
