"""Stack parameters: what is given at deployment, and the secrets made of it."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Acknowledgment, CfnParameter, SecretValue, Stack, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager

from stacks.environments import AT_DEPLOYMENT, COMPLETE_ARN, Environment
from stripe_settlement import DatabaseConnection

_NO_QUOTES = r'[^"\\\x00-\x1F]+'
"""CloudFormation puts a parameter into the secret's JSON as it is. A quote or a backslash would end
or escape the text around it: the secret could not be read, or would say something else."""

_NO_QUOTES_DESCRIPTION = (
    "must not hold a double quote, a backslash or a control character, which would break the "
    "secret's JSON. Store such a value in Secrets Manager yourself and give the secret's ARN."
)


class DeploymentParameters:
    """The parameters of one stack. Parameters have to stand in the stack itself to keep their ids.

    A secret comes as a NoEcho parameter and goes into Secrets Manager, where alone it can be read;
    or it exists already, and only its ARN passes through here.
    """

    def __init__(self, stack: Stack, environment: Environment) -> None:
        self._stack = stack
        self._environment = environment

    def database(self) -> DatabaseConnection:
        """Return where the orders are."""
        host = self._text(
            "DbHost", "Host name of the database's writer", pattern=r"[A-Za-z0-9._:-]+"
        )
        port = CfnParameter(
            self._stack,
            "DbPort",
            type="Number",
            default=DatabaseConnection.port,
            min_value=1,
            max_value=65_535,
            description="TCP port of the database",
        )
        name = self._text("DbName", "Schema that holds the orders", pattern=r"[^\s/`]{1,64}")
        user = self._text(
            "DbUser",
            "User of the database; a username in the database's secret comes before it",
            pattern=_NO_QUOTES,
            constraint=_NO_QUOTES_DESCRIPTION,
        )
        return DatabaseConnection(
            host=host,
            port=cast("int", port.value_as_number),  # a token, whose type CDK cannot tell
            name=name,
            user=user,
            secret=self._database_secret(user),
            tls=self._environment.database_tls,
            tables=self._environment.order_tables,
        )

    def stripe_api_key_secret(self) -> secretsmanager.ISecret | None:
        """Return the secret with the key that Stripe's side is created with; None without one."""
        arn = self._environment.stripe_api_key_secret_arn
        return None if arn is None else self._existing_secret("StripeApiKeySecretArn", arn)

    def thin_events_key_secret(self) -> secretsmanager.ISecret | None:
        """Return the secret with the key that thin events are settled with; None without one."""
        arn = self._environment.thin_events_key_secret_arn
        return None if arn is None else self._existing_secret("ThinEventsKeySecretArn", arn)

    def stripe_secret(self) -> secretsmanager.ISecret | None:
        """Return the secret with the endpoint's signing secret; None if the stack creates both."""
        if (arn := self._environment.stripe_secret_arn) is not None:
            return self._existing_secret("StripeCredentialsArn", arn)
        if self._environment.stripe_api_key_secret_arn is not None:
            return None
        # Test mode's alone: with real money secrets by parameter are an error.
        reason = (
            "Stripe makes it. It is rolled in Stripe's dashboard and given at deployment; of "
            "signing secrets the functions accept the old and the new one meanwhile."
        )
        # A secret of its own, for the operator: no function reads it.
        self._stored_secret(
            "StripeKeySecret",
            {
                "api_key": self._secret(
                    "StripeSecretKey",
                    "Stripe's secret or restricted key, test mode",
                    pattern=r"(sk|rk)_test_[A-Za-z0-9_]+",
                    constraint="must be a test mode key: sk_test_... or rk_test_...",
                )
            },
            reason=reason,
        )
        return self._stored_secret(
            "StripeSecret",
            {
                "webhook_secret": self._secret(
                    "StripeWebhookSecret",
                    "Signing secret of the webhook endpoint; while it is rolled both, separated by "
                    "a comma",
                    pattern=r"whsec_[A-Za-z0-9+/=_-]+(,whsec_[A-Za-z0-9+/=_-]+)*",
                    constraint="must be whsec_..., or several separated by commas without blanks",
                ),
            },
            reason=reason,
        )

    def stripe_api_base(self) -> str | None:
        """Return the address of a Stripe that is played; None for Stripe's own."""
        address = self._environment.stripe_api_base
        if address != AT_DEPLOYMENT:
            return address
        return self._text(
            "StripeApiBase", "Address of a Stripe that is played", pattern=r"https?://[^\s/]+"
        )

    def event_source_name(self) -> str | None:
        """Return Stripe's partner event source; None for the default bus."""
        name = self._environment.event_source_name
        if name != AT_DEPLOYMENT:
            return name
        return self._text(
            "EventSourceName",
            "Stripe's partner event source, as `aws events list-event-sources` shows it",
            pattern=r"aws\.partner/stripe\.com/[A-Za-z0-9_.-]+",
            constraint="must be aws.partner/stripe.com/ed_...",
        )

    def alarm_emails(self) -> Sequence[str]:
        """Return who is notified of alarms."""
        return [
            self._text(
                "AlarmEmail",
                "E-mail address notified of alarms; has to confirm the subscription SNS sends",
                pattern=r"[^@\s]+@[^@\s]+",
                constraint="must be an e-mail address",
            )
            if address == AT_DEPLOYMENT
            else address
            for address in self._environment.alarm_emails
        ]

    def _database_secret(self, user: str) -> secretsmanager.ISecret:
        if (arn := self._environment.database_secret_arn) is not None:
            return self._existing_secret("DbCredentialsArn", arn)
        return self._stored_secret(
            "DatabaseSecret",
            {
                "username": SecretValue.unsafe_plain_text(user),
                "password": self._secret(
                    "DbPassword",
                    "Password of the database's user",
                    pattern=_NO_QUOTES,
                    constraint=_NO_QUOTES_DESCRIPTION,
                ),
            },
            reason="The password is given at deployment and changed the same way. Where it "
            "rotates, the environment names the rotating secret by its ARN instead.",
        )

    def _existing_secret(self, parameter: str, arn: str) -> secretsmanager.ISecret:
        if arn == AT_DEPLOYMENT:
            arn = self._text(
                parameter,
                "Complete ARN of the existing secret",
                pattern=COMPLETE_ARN,
                constraint="must be a secret's complete ARN, with its six last characters",
            )
        construct_id = parameter.removesuffix("Arn")
        key_arn = self._environment.secrets_key_arn
        return secretsmanager.Secret.from_secret_attributes(
            self._stack,
            construct_id,
            secret_complete_arn=arn,
            encryption_key=kms.Key.from_key_arn(self._stack, f"{construct_id}Key", key_arn)
            if key_arn
            else None,
        )

    def _stored_secret(
        self, construct_id: str, values: dict[str, SecretValue], *, reason: str
    ) -> secretsmanager.ISecret:
        secret = secretsmanager.Secret(
            self._stack,
            construct_id,
            secret_object_value=values,
            removal_policy=self._environment.removal_policy,
        )
        Validations.of(secret).acknowledge(Acknowledgment(id="AwsSolutions-SMG4", reason=reason))
        return secret

    def _secret(self, name: str, description: str, *, pattern: str, constraint: str) -> SecretValue:
        return SecretValue.cfn_parameter(
            CfnParameter(
                self._stack,
                name,
                no_echo=True,
                description=f"{description}; stored in Secrets Manager",
                allowed_pattern=f"^{pattern}$",
                constraint_description=constraint,
            )
        )

    def _text(
        self, name: str, description: str, *, pattern: str, constraint: str | None = None
    ) -> str:
        return CfnParameter(
            self._stack,
            name,
            description=description,
            allowed_pattern=f"^{pattern}$",
            constraint_description=constraint,
        ).value_as_string
