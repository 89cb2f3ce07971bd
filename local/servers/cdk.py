"""The real cdk CLI, pinned in package.json, against whatever the environment's endpoint says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

Report = Callable[[int, int], None]
"""Receives how many resources are done, and of how many."""

REPOSITORY: Final = Path(__file__).parents[2]
_CDK: Final = REPOSITORY / "node_modules" / ".bin" / "cdk"
_EVENT: Final = re.compile(r"\|\s*(\d+)/(\d+)\s*\|")
_LAST_LINES: Final = 40
_STOP_SECONDS: Final = 10.0


class CdkError(RuntimeError):
    """The CLI is missing, or ended with an error; the message holds the end of what it said."""


class CdkCli:
    """Runs the CLI on this repository's app, in an environment of its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        directory: Path,
        environment_name: str = "local",
        assembly: Path | None = None,
        project: Path = REPOSITORY,
    ) -> None:
        """
        Args:
            environment: of the CLI's process: the endpoint, region and credentials.
            directory: where it may write: the cloud assembly, the stack's outputs.
            environment_name: as in `-c environment=…`.
            assembly: what was synthesised already, to be deployed instead of the app.
            project: where the `cdk.json` is that the CLI reads.
        """
        # Beside this interpreter is the Node that was installed for the CLI and for jsii.
        path = os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", "")))
        self._environment: Final = {
            **environment,
            "PATH": path,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }
        self._directory: Final = directory
        self._name: Final = environment_name
        self._assembly: Final = assembly
        self._project: Final = project

    def bootstrap(self, account: str, region: str) -> None:
        """Run `cdk bootstrap`. Away from the app, which would only be synthesised for nothing."""
        self._run(["bootstrap", f"aws://{account}/{region}"], cwd=self._directory)

    def deploy(
        self,
        stack: str,
        parameters: Mapping[str, str],
        *,
        report: Report | None = None,
        revert_drift: bool = False,
        direct: bool = False,
    ) -> dict[str, str]:
        """Run `cdk deploy`: create or update the stack.

        Args:
            stack: its name.
            parameters: their values by name; the ones left out keep what they had.
            report: receives each resource as it is done.
            revert_drift: whether what was changed or deleted by hand becomes as the template says.
            direct: whether it does without a change set, which is faster.

        Returns:
            The stack's outputs by name.

        Raises:
            CdkError: it did not deploy.
        """
        outputs = self._directory / "stack-outputs.json"
        values = [f"--parameters={name}={value}" for name, value in parameters.items()]
        self._run(
            [
                *("deploy", stack, *self._app(), "--require-approval=never", "--progress=events"),
                *(f"--outputs-file={outputs}", *values),
                *(["--revert-drift"] if revert_drift else []),
                *(["--method=direct"] if direct else []),
            ],
            cwd=self._project,
            report=report,
        )
        return dict(json.loads(outputs.read_text(encoding="utf-8"))[stack])

    def drift(self, stack: str) -> str:
        """Run `cdk drift`: return what it prints of resources that were changed or deleted by hand.

        Raises:
            CdkError: drift could not be detected.
        """
        return self._run(["drift", stack, *self._app()], cwd=self._project)

    def destroy(self, stack: str, *, report: Report | None = None) -> None:
        """Run `cdk destroy`, without asking.

        Raises:
            CdkError: something of the stack could not be removed.
        """
        self._run(["destroy", stack, *self._app(), "--force"], cwd=self._project, report=report)

    def _app(self) -> list[str]:
        if self._assembly is not None:
            return [f"--app={self._assembly}"]
        return [
            f"--app={shlex.join([sys.executable, str(REPOSITORY / 'app.py')])}",
            f"--output={self._directory / 'cdk.out'}",
            f"--context=environment={self._name}",
        ]

    def _run(self, arguments: Sequence[str], *, cwd: Path, report: Report | None = None) -> str:
        if not _CDK.exists():
            raise CdkError(f"{_CDK.name} is not installed. Run `make setup`.")
        said: list[str] = []
        # A session of its own, so that all of it can be ended: the CLI, the app, and its Node.
        with subprocess.Popen(
            [str(_CDK), *arguments, "--no-notices"],
            cwd=cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                for line in process.stdout or ():
                    said.append(line)
                    if report is not None and (event := _EVENT.search(line)):
                        report(int(event[1]), int(event[2]))
                process.wait()
            finally:
                _end(process)
        if process.returncode != 0:
            # Without the roll of what was rolled back: what failed is printed after it.
            end = "".join([line for line in said if not _EVENT.search(line)][-_LAST_LINES:])
            raise CdkError(f"cdk {arguments[0]} ended with exit code {process.returncode}:\n{end}")
        return "".join(said)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_SECONDS)
            return
