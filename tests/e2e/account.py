"""An AWS account from outside: all that a deployment can leave in it, and a second stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk

from local.emulated_aws import ACCOUNT, REGION
from stacks.payments_stack import PaymentsStack
from tests.infrastructure.synthesis import cdk_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.emulated_aws import EmulatedAWS
    from stacks.environments import Environment

CDK = Path(__file__).parents[2] / "node_modules" / ".bin" / "cdk"

Resource = tuple[str, str]
"""Kind and name."""

_LISTS: dict[str, tuple[str, str, str, str]] = {
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "API": ("apigateway", "get_rest_apis", "items", "id"),
    "bus": ("events", "list_event_buses", "EventBuses", "Name"),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "function": ("lambda", "list_functions", "Functions", "FunctionName"),
    "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "role": ("iam", "list_roles", "Roles", "RoleName"),
    "secret": ("secretsmanager", "list_secrets", "SecretList", "ARN"),
    "topic": ("sns", "list_topics", "Topics", "TopicArn"),
    "usage plan": ("apigateway", "get_usage_plans", "items", "id"),
}
"""Kind of resource: service, operation, field of the answer, field of the name."""


def resources(aws: EmulatedAWS) -> set[Resource]:
    """All that is in the account, of the kinds that a stack of ours has."""
    found = {
        (kind, str(item[name]))
        for kind, (service, operation, field, name) in _LISTS.items()
        for item in getattr(aws.client(service), operation)()[field]
    }
    found |= {("queue", url) for url in aws.client("sqs").list_queues().get("QueueUrls", [])}
    return found | set(_rules(aws, [name for kind, name in found if kind == "bus"]))


def _rules(aws: EmulatedAWS, buses: list[str]) -> Iterator[Resource]:
    for bus in buses:
        for rule in aws.client("events").list_rules(EventBusName=bus)["Rules"]:
            yield ("rule", f"{bus}/{rule['Name']}")


def synthesise(environment: Environment, assembly: Path) -> str:
    """Synthesise the stack of an environment. Answers the stack's name."""
    app = cdk.App(
        context=cdk_context(),
        outdir=str(assembly),
        analytics_reporting=False,
        builtin_cloud_formation_validation=False,
    )
    name = f"cachao-payments-{environment.name}"
    place = cdk.Environment(account=ACCOUNT, region=REGION)
    PaymentsStack(app, name, environment=environment, env=place)
    app.synth()
    return name


class Assembly:
    """A synthesised app, deployed and destroyed by the real cdk CLI."""

    def __init__(self, aws: EmulatedAWS, stack: str, directory: Path) -> None:
        self._environment = aws.environment()
        self._stack = stack
        self._directory = directory

    def deploy(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Answers the stack's outputs."""
        outputs = self._directory / "outputs.json"
        values = [f"--parameters={name}={value}" for name, value in parameters.items()]
        self._cdk("deploy", "--require-approval=never", f"--outputs-file={outputs}", *values)
        answer: dict[str, Any] = json.loads(outputs.read_text(encoding="utf-8"))
        return dict(answer[self._stack])

    def destroy(self) -> None:
        """Returns when the stack is gone."""
        self._cdk("destroy", "--force")

    def _cdk(self, command: str, *arguments: str) -> None:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        done = subprocess.run(
            [CDK, command, self._stack, f"--app={self._directory}", "--no-notices", *arguments],
            env={**self._environment, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"},
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
