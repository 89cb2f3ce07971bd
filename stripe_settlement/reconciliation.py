"""The third net: a function that asks Stripe, by the clock, what neither route has brought."""

from dataclasses import replace
from typing import Final

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.database import DatabaseConnection
from stripe_settlement.functions.database_function import DatabaseFunction
from stripe_settlement.functions.network import Network
from stripe_settlement.settings import FunctionSettings, ReconciliationSettings

RECONCILIATION_FUNCTION: Final = "StripeReconciliation"


class Reconciliation(Construct):
    """A scheduled function that lists Stripe's events and settles what is not settled.

    A run that fails is not retried and its event is not retained: the next run begins where the
    last one came to. An alarm says that it failed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        database: DatabaseConnection,
        api_key_secret: secretsmanager.ISecret,
        environment: dict[str, str],
        settings: ReconciliationSettings | None = None,
        function_settings: FunctionSettings | None = None,
        api_base: str | None = None,
        name_prefix: str | None = None,
        network: Network | None = None,
    ) -> None:
        """Create the function and its schedule.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            code: the asset, built for the runtime and the architecture of `function_settings`.
            database: whose address and secret the function is given.
            api_key_secret: JSON secret whose `api_key` may read Stripe's events.
            environment: what the functions that settle have in common.
            settings: how often, and how far back.
            function_settings: what it has in common with the other functions.
            api_base: address of Stripe's API; None: Stripe's own.
            name_prefix: begins the physical names; without it CloudFormation names them.
            network: the database's; it needs a way to Stripe as well.
        """
        super().__init__(scope, construct_id)
        settings = settings or ReconciliationSettings()
        function_settings = function_settings or FunctionSettings()
        variables = {
            "STRIPE_API_KEY_SECRET_ARN": api_key_secret.secret_arn,
            "RECONCILIATION_YOUNG_AFTER_SECONDS": _seconds(settings.young_after),
            "RECONCILIATION_OVERLAP_SECONDS": _seconds(settings.overlap),
            "RECONCILIATION_LOOK_BACK_SECONDS": _seconds(settings.look_back),
        }
        if api_base is not None:
            variables["STRIPE_API_BASE"] = api_base
        # Two runs at once would list the same events; a quota too small to reserve from stays so,
        # and what is paused does not settle by this way either.
        reserved = function_settings.reserved_concurrency
        reserved = None if reserved is None else min(reserved, 1)
        self.function: Final = DatabaseFunction(
            self,
            RECONCILIATION_FUNCTION,
            handler="reconciliation_handler.handler",
            code=code,
            database=database,
            description="Settles the orders that Stripe lists as paid and neither route brought",
            settings=replace(
                function_settings, timeout=settings.timeout, reserved_concurrency=reserved
            ),
            environment={**environment, **variables},
            function_name=physical_name(name_prefix, RECONCILIATION_FUNCTION),
            network=network,
        )
        """Lists and settles."""
        self.function.allow_reading(api_key_secret, noun="StripeApiKey")
        self.function.function.configure_async_invoke(
            max_event_age=Duration.minutes(1), retry_attempts=0
        )
        self.rule: Final = events.Rule(
            self,
            "Schedule",
            rule_name=physical_name(name_prefix, "stripe-reconciliation"),
            description="Has Stripe asked for what neither route has brought",
            schedule=events.Schedule.rate(settings.interval),
            targets=[
                targets.LambdaFunction(
                    self.function.function, retry_attempts=0, max_event_age=Duration.minutes(1)
                )
            ],
        )
        """When."""
        self._acknowledge_that_no_event_is_kept()

    def _acknowledge_that_no_event_is_kept(self) -> None:
        reason = (
            "The event is the clock's and holds nothing: the next run begins where the last one "
            "came to, and an alarm says that a run failed."
        )
        function = self.function.function
        Validations.of(function).acknowledge(
            Acknowledgment(id="Serverless-LambdaDLQ", reason=reason)
        )
        Validations.of(function.node.find_child("EventInvokeConfig")).acknowledge(
            Acknowledgment(id="Serverless-LambdaAsyncFailureDestination", reason=reason)
        )
        Validations.of(self.rule).acknowledge(
            Acknowledgment(id="Serverless-EventBusDLQ", reason=reason)
        )


def _seconds(duration: Duration) -> str:
    return str(int(duration.to_seconds()))
