"""Stripe's payment confirmations, settled exactly once: AWS CDK constructs in Python."""

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
