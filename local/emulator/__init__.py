"""The AWS of the local cloud: MiniStack, with the AWS behaviour this app relies on put back.

`python -m local.emulator` starts it; `local.servers.emulated_aws.EmulatedAWS` starts, awaits and
ends that process. MiniStack is used as it is published. Where it differs from AWS in a way that
matters here, a module of `patches` replaces a function of it: one module per behaviour, named after
the service and what it does. They reach into MiniStack's private functions, so they hold for one
version of it only: `MINISTACK_VERSION`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MINISTACK_VERSION: Final = "1.5.33"
"""The version of MiniStack that the replaced functions were read in and tried with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the patches receive."""

    endpoint: str
    """Where the emulator answers: `http://127.0.0.1:PORT`."""

    function_python: Path
    """Interpreter of the Python functions. Its environment stands for Lambda's runtime."""

    speed: float
    """How many times faster than on AWS alarms, queue metrics and schedules run."""

    async_retry_seconds: float
    """Wait before the first retry of an asynchronous invocation; AWS waits 60 s."""
