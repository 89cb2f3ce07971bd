"""Settle Stripe's payment confirmations exactly once: AWS CDK constructs in Python."""

from stripe_settlement.bundling.code import BundlingError, Installer, Precompile, settlement_code
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.monitoring.alarm_settings import AlarmSettings
from stripe_settlement.monitoring.metrics import SettlementMetric
from stripe_settlement.order_tables import (
    DiscountCodesTable,
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from stripe_settlement.settings import (
    EventSettings,
    FunctionSettings,
    LogSettings,
    MigrationSettings,
    OnSaleQueueSettings,
    OperationsSettings,
    QueueSettings,
    ReconciliationSettings,
    SettlementSettings,
    StripeAccountSettings,
    WebhookSettings,
)
from stripe_settlement.settlement import StripeSettlement

__all__ = [
    "AlarmSettings",
    "BundlingError",
    "DatabaseConnection",
    "DiscountCodesTable",
    "EventSettings",
    "FunctionSettings",
    "Installer",
    "LogSettings",
    "MigrationSettings",
    "OnSaleQueueSettings",
    "OperationsSettings",
    "OrderTables",
    "OrdersTable",
    "Precompile",
    "QueueSettings",
    "ReconciliationSettings",
    "SettlementMetric",
    "SettlementSettings",
    "StatusWords",
    "StripeAccountSettings",
    "StripeSettlement",
    "TicketsTable",
    "WebhookSettings",
    "settlement_code",
]
