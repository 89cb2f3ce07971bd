"""Where MiniStack differs from AWS: one module per behaviour that is put back.

Importing this package imports MiniStack, which reads the environment as it is imported.
"""

from types import ModuleType
from typing import Final

from local.emulator import Settings
from local.emulator.patches import (
    apigateway_metrics,
    cloudformation_drift,
    cloudformation_failed_creations,
    cloudwatch_alarm_evaluation,
    cloudwatch_data_points,
    events_partner_events,
    events_partner_sources,
    events_rule_tags,
    events_rule_targets,
    events_schedules,
    lambda_asynchronous_invocation,
    lambda_metrics,
    lambda_python_runtime,
    lambda_reserved_concurrency,
    lambda_sqs_batches,
    logs_embedded_metrics,
    secretsmanager_references,
    sqs_metrics,
)

PATCHES: Final[tuple[ModuleType, ...]] = (
    lambda_python_runtime,
    cloudwatch_data_points,
    lambda_metrics,
    lambda_asynchronous_invocation,
    events_rule_targets,
    events_partner_events,
    events_partner_sources,
    events_schedules,
    lambda_reserved_concurrency,
    lambda_sqs_batches,
    logs_embedded_metrics,
    apigateway_metrics,
    sqs_metrics,
    cloudwatch_alarm_evaluation,
    secretsmanager_references,
    events_rule_tags,
    cloudformation_drift,
    cloudformation_failed_creations,
)
"""In the order in which they are applied: some wrap what another has replaced."""


def apply(settings: Settings) -> None:
    """Apply every patch."""
    for patch in PATCHES:
        patch.apply(settings)
