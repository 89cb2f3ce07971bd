"""An AWS account from outside: all that a deployment can leave in it, and a second stack's app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import aws_cdk as cdk

from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from stacks.environments import Environment
from stacks.payments_stack import PaymentsStack
from tests.infrastructure.synthesis import cdk_context

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


def synthesise(
    environment: Environment,
    assembly: Path,
    change: Callable[[PaymentsStack], None] = lambda _stack: None,
) -> str:
    """Synthesise the stack of an environment, changed before. Return the stack's name."""
    app = cdk.App(
        context=cdk_context(),
        outdir=str(assembly),
        analytics_reporting=False,
        builtin_cloud_formation_validation=False,
    )
    name = f"cachao-payments-{environment.name}"
    place = cdk.Environment(account=ACCOUNT, region=REGION)
    change(PaymentsStack(app, name, environment=environment, env=place))
    app.synth()
    return name
