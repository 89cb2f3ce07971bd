"""The operator's terminal: what the runbook says is typed there, literally."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.cloud import ENVIRONMENT, STACK, LocalCloud
from local.servers.cdk import REPOSITORY
from tests.infrastructure import runbook

_SECONDS = 300.0
_NAMES = ("STACK", "EVENT_FUNCTION", "WEBHOOK_FUNCTION", "BUS", "RULE", "FUNCTION", "QUEUE_URL")

# A command that fails is named, but for the exit code by which ours says "something is left".
_SHELL = """
set -o pipefail
exec 9>"$FAILED"
trap 'code=$?; case "$code $BASH_COMMAND" in
  "1 stripe-settlement "*) ;;
  *) echo "exit code $code: $BASH_COMMAND" >&9 ;;
esac' ERR
"""
_COMMANDS = {
    # The AWS CLI that pip installs is version 1, which has no AWS_ENDPOINT_URL for SQS.
    "aws": f'exec "{sys.executable}" -m awscli --endpoint-url "$AWS_ENDPOINT_URL" "$@"',
    "stripe-settlement": f'exec "{sys.executable}" -m stripe_settlement_cli "$@"',
    "jq": f'exec "{sys.executable}" -m tests.support.jq "$@"',
}


class OperatorShell:
    """A shell as the runbook's reader has it, with what its section *Names* defines.

    `aws` is the AWS CLI, `npx cdk` the real one; both reach the local cloud by their variables.
    """

    def __init__(self, cloud: LocalCloud, directory: Path) -> None:
        """
        Args:
            cloud: where the stack is.
            directory: of its own; where the operator's files are, and nothing else.
        """
        self._cloud = cloud
        self._files = directory / "files"
        self._files.mkdir()
        self._failed = directory / "failed"
        tools = directory / "bin"
        tools.mkdir()
        for name, script in _COMMANDS.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        # `npx` finds the CLI in node_modules, above where it runs.
        (self._files / "node_modules").symlink_to(REPOSITORY / "node_modules")
        path = (str(tools), str(Path(sys.executable).parent), os.environ["PATH"])
        self._environment = {
            **cloud.aws.environment(),
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": str(REPOSITORY),
            "FAILED": str(self._failed),
            # What was deployed: the app need not be synthesised anew for every command.
            "CDK_APP": str(cloud.aws.directory / "cdk.out"),
            "CDK_REQUIRE_APPROVAL": "never",
            "CDK_NOTICES": "false",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }
        names = "\n".join(runbook.commands("names"))
        kept = f"{{ declare -p {' '.join(_NAMES)}; declare -f output; }} > names.sh"
        self._names = ""
        self.run(f"{names}\n{kept}")
        self._names = "source names.sh"

    def run(
        self,
        script: str,
        *,
        variables: Mapping[str, str] | None = None,
        filled_in: Mapping[str, str] | None = None,
        typed: str = "",
    ) -> str:
        """Run a block of the runbook. Return what it printed.

        Args:
            script: the block.
            variables: those that the section *Names* says to set as the alarm says.
            filled_in: what stands in the text for what only the operator knows.
            typed: what the block asks for.

        Raises:
            AssertionError: a command ended with an error.
        """
        literal = {
            "cachao-payments-prod": STACK,
            "environment=prod": f"environment={ENVIRONMENT}",
            "https://api.stripe.com": self._cloud.stripe_server.url,
            **(filled_in or {}),
        }
        for old, new in literal.items():
            script = script.replace(old, new)
        given = [f"{name}='{value}'" for name, value in (variables or {}).items()]
        done = subprocess.run(
            ["bash", "-c", "\n".join((_SHELL, self._names, *given, script))],
            cwd=self._files,
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        failed = self._failed.read_text(encoding="utf-8")
        assert not failed, f"{failed}{done.stdout}{done.stderr}"
        return done.stdout
