"""Settle Stripe's payment confirmations exactly once: AWS CDK constructs in Python."""

from stripe_settlement.bundling.code import BundlingError, Installer, Precompile, settlement_code
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.functions.schema_migration import SchemaMigration
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.monitoring.alarm_descriptions import AlarmText
from stripe_settlement.monitoring.alarm_settings import AlarmSettings
from stripe_settlement.monitoring.alarm_topic import AlarmTopic
from stripe_settlement.monitoring.alarms import SettlementAlarms
from stripe_settlement.monitoring.dashboard import SettlementDashboard
from stripe_settlement.monitoring.metrics import SettlementMetric
from stripe_settlement.order_tables import (
    DiscountCodesTable,
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.webhook import WebhookRoute
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

__all__ = [
    "AlarmSettings",
    "AlarmText",
    "AlarmTopic",
    "BundlingError",
    "DatabaseConnection",
    "DiscountCodesTable",
    "EventRoute",
    "EventSettings",
    "FailureQueue",
    "FunctionSettings",
    "Installer",
    "LogSettings",
    "MigrationSettings",
    "OrderTables",
    "OrdersTable",
    "Precompile",
    "QueueSettings",
    "SchemaMigration",
    "SettlementAlarms",
    "SettlementDashboard",
    "SettlementFunction",
    "SettlementMetric",
    "SettlementSettings",
    "StatusWords",
    "StripeSettlement",
    "TicketsTable",
    "WebhookRoute",
    "WebhookSettings",
    "settlement_code",
]
