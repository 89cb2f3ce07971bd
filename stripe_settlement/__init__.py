"""Stripe's payment confirmations, settled exactly once: AWS CDK constructs in Python.

A name is imported when it is first asked for: the operator's command line, which lives in this
package too, starts without the CDK and the Node that the CDK starts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stripe_settlement.alarm_settings import AlarmSettings
    from stripe_settlement.alarm_texts import AlarmText
    from stripe_settlement.alarm_topic import AlarmTopic
    from stripe_settlement.alarms import SettlementAlarms
    from stripe_settlement.bundling import BundlingError, Installer, Precompile, settlement_code
    from stripe_settlement.connection import DatabaseConnection
    from stripe_settlement.dashboard import SettlementDashboard
    from stripe_settlement.event_route import EventRoute
    from stripe_settlement.failure_queue import FailureQueue
    from stripe_settlement.metrics import SettlementMetric
    from stripe_settlement.schema_migration import SchemaMigration
    from stripe_settlement.settings import (
        EventSettings,
        FunctionSettings,
        LogSettings,
        MigrationSettings,
        QueueSettings,
        SettlementSettings,
        WebhookSettings,
    )
    from stripe_settlement.settlement import StripeSettlement
    from stripe_settlement.settlement_function import SettlementFunction
    from stripe_settlement.webhook_route import WebhookRoute

__all__ = [
    "AlarmSettings",
    "AlarmText",
    "AlarmTopic",
    "BundlingError",
    "DatabaseConnection",
    "EventRoute",
    "EventSettings",
    "FailureQueue",
    "FunctionSettings",
    "Installer",
    "LogSettings",
    "MigrationSettings",
    "Precompile",
    "QueueSettings",
    "SchemaMigration",
    "SettlementAlarms",
    "SettlementDashboard",
    "SettlementFunction",
    "SettlementMetric",
    "SettlementSettings",
    "StripeSettlement",
    "WebhookRoute",
    "WebhookSettings",
    "settlement_code",
]

_HOMES: Final = {
    "AlarmSettings": "alarm_settings",
    "AlarmText": "alarm_texts",
    "AlarmTopic": "alarm_topic",
    "BundlingError": "bundling",
    "DatabaseConnection": "connection",
    "EventRoute": "event_route",
    "EventSettings": "settings",
    "FailureQueue": "failure_queue",
    "FunctionSettings": "settings",
    "Installer": "bundling",
    "LogSettings": "settings",
    "MigrationSettings": "settings",
    "Precompile": "bundling",
    "QueueSettings": "settings",
    "SchemaMigration": "schema_migration",
    "SettlementAlarms": "alarms",
    "SettlementDashboard": "dashboard",
    "SettlementFunction": "settlement_function",
    "SettlementMetric": "metrics",
    "SettlementSettings": "settings",
    "StripeSettlement": "settlement",
    "WebhookRoute": "webhook_route",
    "WebhookSettings": "settings",
    "settlement_code": "bundling",
}
"""The module each name is from."""

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
