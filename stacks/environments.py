"""What differs between dev and prod.

The decisions stand here with their reasons; `cdk.json` holds, under `environments`, what belongs to
an account: addresses, ARNs, who is told.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import RemovalPolicy

from stripe_settlement._validation import require_match

AT_DEPLOYMENT: Final = "at deployment"
"""Stands in `cdk.json` for a value that becomes a stack parameter without a default: the template
can be synthesised and read, and CloudFormation refuses to deploy until somebody gives the value."""

COMPLETE_ARN: Final = r"arn:aws[a-z-]*:secretsmanager:.+:secret:.+-[A-Za-z0-9]{6}"
"""With the six characters Secrets Manager adds, without which the ARN fits other secrets too."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """The database's VPC, by its ids: looking them up would need the account at synthesis."""

    vpc_id: str
    """The VPC."""

    availability_zones: tuple[str, ...]
    """Of the subnets, in their order."""

    subnet_ids: tuple[str, ...]
    """Private subnets with a way to Secrets Manager: a NAT or an interface endpoint."""

    security_group_ids: tuple[str, ...] = ()
    """What the database lets in. Empty: one group is created, and nobody lets it in yet."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One deployment of the service.

    Raises:
        ValueError: something that is no ARN of a secret.
    """

    name: str
    """As in `-c environment=…`; the tag `Environment`."""

    livemode: bool
    """Whether real money is settled, or Stripe's test mode."""

    production: bool = False
    """Whether this is the service's production, whatever its mode."""

    account: str | None = None
    """The only account it may be deployed into. None: the one the CLI is signed in to."""

    region: str | None = None
    """The only region, likewise."""

    resource_prefix: str | None = "cachao"
    """Begins physical names. Two environments in one account need different ones."""

    event_source_name: str | None = None
    """Stripe's partner event source. None: the default bus, which a forwarder of ours feeds."""

    database_secret_arn: str | None = None
    """Existing secret. None: stored from the parameters DbUser and DbPassword."""

    stripe_secret_arn: str | None = None
    """Existing secret. None: stored from the parameters StripeSecretKey and StripeWebhookSecret."""

    secrets_key_arn: str | None = None
    """Customer-managed key of the existing secrets. None: Secrets Manager's own."""

    alarm_emails: tuple[str, ...] = ()
    """Who is told by the alarms."""

    runbook_url: str | None = None
    """Where the runbook opens from a mail. None: its path in this repository."""

    database_tls: bool = True
    """Whether the connection is encrypted and the server verified."""

    network: Network | None = None
    """The database's VPC. None: the functions run outside any."""

    reserved_concurrency: int | None = 10
    """Executions at once of each function. None for an account whose quota is too small."""

    access_logs: bool = True
    """Whether the API writes them; the account needs API Gateway's CloudWatch role for it."""

    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    """What happens to messages, logs and the secrets it stores when the stack goes."""

    def __post_init__(self) -> None:
        for field in ("database_secret_arn", "stripe_secret_arn"):
            value = getattr(self, field)
            require_match(
                f"{field} of the environment {self.name!r}",
                None if value == AT_DEPLOYMENT else value,
                COMPLETE_ARN,
                allowed="a secret's complete ARN with its six last characters, "
                f"'{AT_DEPLOYMENT}', or null to store it from stack parameters",
            )

    @property
    def guarded(self) -> bool:
        """Whether what would hurt refuses to synthesise: in production, and with real money."""
        return self.production or self.livemode

    def objections(self) -> list[str]:
        """What would hurt here, beyond what the construct itself refuses: each with a way round.

        Empty where nothing is guarded.
        """
        if not self.guarded:
            return []
        objections = []
        if not self.livemode:
            objections.append(
                "livemode is false: every real payment would be ignored. Set it to true."
            )
        objections += [
            f"{field} is missing, so secrets would come as parameters: through a shell's history, "
            f"and by hand at every rotation. Create the secret and give its ARN, or "
            f"'{AT_DEPLOYMENT}'."
            for field in ("database_secret_arn", "stripe_secret_arn")
            if getattr(self, field) is None
        ]
        return objections


DEV: Final = Environment(name="dev", livemode=False, removal_policy=RemovalPolicy.DESTROY)
"""Stripe's test mode. Goes without a trace; secrets may come as parameters."""

PROD: Final = Environment(name="prod", livemode=True, production=True)
"""Real money. `cdk.json` has to say where the secrets are, which event source, who is told."""
