"""The functions of one settlement: what they share, and how each differs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from aws_cdk import Duration, Tokenization
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.encryption import key_behind
from stripe_settlement.functions.network import Network
from stripe_settlement.functions.schema_migration import SchemaMigration
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.operations import Operations
from stripe_settlement.reconciliation import Reconciliation
from stripe_settlement.settings import (
    MigrationSettings,
    OperationsSettings,
    ReconciliationSettings,
    SettlementSettings,
    WebhookSettings,
)

EVENT_FUNCTION: Final = "StripeEventBridgeHandler"
WEBHOOK_FUNCTION: Final = "StripePaymentFunction"
"""The functions' ids, of which their physical names, queues, outputs, alarms and labels derive."""


@dataclass(frozen=True, kw_only=True)
class SettlementFunctions:
    """One asset, one network, one database, one mode; a role and a failure queue for each."""

    scope: Construct
    settings: SettlementSettings
    livemode: bool
    service_name: str
    code: lambda_.Code
    database: DatabaseConnection
    queue_key: kms.IKey | None
    network: Network | None
    thin_events_key_secret: secretsmanager.ISecret | None

    def event_function(self) -> SettlementFunction:
        """Create the EventBridge route's function, without a signing secret: it needs none."""
        return self._settlement_function(
            EVENT_FUNCTION,
            handler="eventbridge_handler.handler",
            description="Settles the orders that Stripe reports paid through EventBridge",
        )

    def webhook_function(
        self, webhook: WebhookSettings, stripe_secret: secretsmanager.ISecret
    ) -> SettlementFunction:
        """Create the webhook's function, which checks signatures."""
        environment = {
            "STRIPE_SECRET_ARN": stripe_secret.secret_arn,
            "WEBHOOK_MAX_BODY_BYTES": Tokenization.stringify_number(webhook.max_body_bytes),
            "SIGNATURE_TOLERANCE_SECONDS": _seconds(webhook.signature_tolerance),
        }
        function = self._settlement_function(
            WEBHOOK_FUNCTION,
            handler="webhook_handler.handler",
            description="Settles the orders that Stripe reports paid through its webhook",
            timeout=webhook.timeout,
            environment=environment,
        )
        function.allow_reading(stripe_secret, noun="StripeSecret")
        return function

    def reconciliation(
        self, reconciliation: ReconciliationSettings, api_key_secret: secretsmanager.ISecret
    ) -> Reconciliation:
        """Create the function that settles what neither route has brought, and its schedule."""
        return Reconciliation(
            self.scope,
            "Reconciliation",
            code=self.code,
            database=self.database,
            api_key_secret=api_key_secret,
            environment=self._common_environment(),
            settings=reconciliation,
            function_settings=self.settings.functions,
            api_base=self.settings.stripe_resources.api_base,
            name_prefix=self.settings.resource_prefix,
            network=self.network,
        )

    def operations(self, operations: OperationsSettings) -> Operations:
        """Create the functions that the operator's command line reaches the database through."""
        return Operations(
            self.scope,
            code=self.code,
            database=self.database,
            environment={"POWERTOOLS_SERVICE_NAME": self.service_name},
            settings=operations,
            function_settings=self.settings.functions,
            name_prefix=self.settings.resource_prefix,
            network=self.network,
        )

    def migration(self, migration: MigrationSettings) -> SchemaMigration:
        """Create the function that brings the tables up to date at each deployment."""
        created = SchemaMigration(
            self.scope,
            "SchemaMigration",
            code=self.code,
            database=self.database,
            settings=migration,
            function_settings=self.settings.functions,
            function_name=physical_name(self.settings.resource_prefix, "StripeSchemaMigration"),
            service_name=self.service_name,
            network=self.network,
        )
        if (key := self.settings.functions.logs.encryption_key) is not None:
            # The framework's log group; the functions' own have allowed the key to be used.
            group = created.node.find_child("ProviderLogGroup").node.default_child
            cast("logs.CfnLogGroup", group).kms_key_id = key_behind(key).key_arn
        return created

    def _settlement_function(
        self,
        construct_id: str,
        *,
        handler: str,
        description: str,
        timeout: Duration | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> SettlementFunction:
        settings = self.settings.functions
        function = SettlementFunction(
            self.scope,
            construct_id,
            handler=handler,
            code=self.code,
            database=self.database,
            description=description,
            settings=replace(settings, timeout=timeout) if timeout else settings,
            queue_settings=self.settings.queues,
            environment={
                **self._common_environment(),
                **self._thin_events_environment(),
                **(environment or {}),
            },
            name_prefix=self.settings.resource_prefix,
            queue_key=self.queue_key,
            network=self.network,
        )
        if self.thin_events_key_secret is not None:
            function.allow_reading(self.thin_events_key_secret, noun="ThinEventsKey")
        return function

    def _thin_events_environment(self) -> dict[str, str]:
        if self.thin_events_key_secret is None:
            return {}
        environment = {"THIN_EVENTS_KEY_SECRET_ARN": self.thin_events_key_secret.secret_arn}
        if (base := self.settings.stripe_resources.api_base) is not None:
            environment["STRIPE_API_BASE"] = base
        return environment

    def _common_environment(self) -> dict[str, str]:
        environment = {
            "STRIPE_LIVEMODE": str(self.livemode).lower(),
            "POWERTOOLS_SERVICE_NAME": self.service_name,
            "POWERTOOLS_METRICS_NAMESPACE": self.settings.metrics_namespace,
            "ORDER_GRACE_SECONDS": _seconds(self.settings.order_grace),
        }
        if self.settings.stripe_account is not None:
            environment["STRIPE_ACCOUNT"] = self.settings.stripe_account
        if self.settings.metadata_filter is not None:
            environment["STRIPE_METADATA_FILTER"] = "=".join(self.settings.metadata_filter)
        return environment


def _seconds(duration: Duration) -> str:
    return str(int(duration.to_seconds()))
