"""What differs between dev and prod.

The decisions stand here with their reasons; `cdk.json` holds, under `environments`, what belongs to
an account: addresses, ARNs, who is notified.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from aws_cdk import RemovalPolicy

from stripe_settlement import FunctionSettings, OrderTables
from stripe_settlement._validation import require_match

AT_DEPLOYMENT: Final = "at deployment"
"""Stands in `cdk.json` for a value that becomes a stack parameter without a default: the template
can be synthesised and read, and CloudFormation deploys nothing until the value is given."""

_PROD: Final = "prod"

COMPLETE_ARN: Final = r"arn:aws[a-z-]*:secretsmanager:.+:secret:.+-[A-Za-z0-9]{6}"
"""With the six characters Secrets Manager adds, without which the ARN fits other secrets too."""


@dataclass(frozen=True, kw_only=True)
class NetworkIds:
    """The database's VPC, by its ids: looking them up would need the account at synthesis."""

    vpc_id: str
    """The VPC."""

    availability_zones: tuple[str, ...]
    """Of the subnets, in their order."""

    subnet_ids: tuple[str, ...]
    """Private subnets with a way to Secrets Manager: a NAT or an interface endpoint."""

    security_group_ids: tuple[str, ...] = ()
    """What the database accepts. Empty: one group is created, which nothing accepts yet."""


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

    account: str | None = None
    """The only account it may be deployed into. None: the one the CLI is signed in to."""

    region: str | None = None
    """The only region, likewise."""

    resource_prefix: str | None = "cachao"
    """Begins physical names. Two environments in one account need different ones."""

    stripe_api_key_secret_arn: str | None = None
    """Existing secret with a Stripe `api_key`, which connects Stripe: the stack creates there what
    is not named here. None: `event_source_name` and Stripe's secret name what was made by hand."""

    thin_events_key_secret_arn: str | None = None
    """Existing secret with a Stripe `api_key` that may read Checkout Sessions: thin events are
    settled with it, and without it they are anomalies. May be that of `stripe_api_key_secret_arn`;
    better a restricted key that may do nothing else."""

    event_source_name: str | None = None
    """Stripe's partner event source. None: the stack's own with a key, and else the default bus,
    which a forwarder of ours feeds."""

    database_secret_arn: str | None = None
    """Existing secret. None: stored from the parameters DbUser and DbPassword."""

    stripe_secret_arn: str | None = None
    """Existing secret of a webhook endpoint. None: the stack's own with a key, and else stored from
    the parameters StripeSecretKey and StripeWebhookSecret."""

    stripe_roll: int = 0
    """Raised to roll the webhook's signing secret, where the stack has created the endpoint."""

    stripe_api_base: str | None = None
    """Address of a Stripe that is played. None: Stripe's own."""

    secrets_key_arn: str | None = None
    """Customer-managed key of the existing secrets. None: Secrets Manager's own."""

    encryption_key_arn: str | None = None
    """Customer-managed key of the queues, the log groups and the alarm topic. Its policy has to
    allow the services that synth names. None: AWS's own keys, and none for the topic."""

    alarm_emails: tuple[str, ...] = ()
    """Who is notified of alarms."""

    runbook_url: str | None = None
    """Where the runbook opens from a message. None: its path in this repository."""

    order_tables: OrderTables = OrderTables()  # noqa: RUF009 - frozen, in a file of its own
    """What the shop's tables are, as an object of what differs from cachao's: see [Tables that are
    not cachao's](settings.md#tables-that-are-not-cachaos)."""

    database_tls: bool = True
    """Whether the connection is encrypted and the server verified."""

    network: NetworkIds | None = None
    """The database's VPC. None: the functions run outside any."""

    reserved_concurrency: int | None = FunctionSettings.reserved_concurrency
    """Maximum concurrent executions of each function. None for a quota too small for it. 0 pauses:
    nothing is settled, and nothing is lost, until it is deployed with another value."""

    on_sale: Literal["queued", "draining"] | None = None
    """On-sale mode, before many buy one ticket within minutes: `queued` settles in batches from a
    queue. `draining` is the step back, until the queue is empty. None: one event an invocation."""

    access_logs: bool = True
    """Whether the API writes them; the account needs API Gateway's CloudWatch role for it."""

    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    """What happens to messages, logs and the secrets it stores when the stack goes."""

    def __post_init__(self) -> None:
        for field in (
            "database_secret_arn",
            "stripe_secret_arn",
            "stripe_api_key_secret_arn",
            "thin_events_key_secret_arn",
        ):
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
        """Whether what would do harm is an error: in prod, and with real money."""
        return self.name == _PROD or self.livemode

    def errors(self) -> list[str]:
        """Return what would do harm here and the construct itself does not check, with hints."""
        errors = []
        if not self.livemode:
            errors.append("livemode is false: every real payment would be ignored. Set it to true.")
        errors += [
            f"{field} is missing, so secrets would come as parameters: through a shell's history, "
            f"and by hand at every rotation. Create the secret and give its ARN, or "
            f"'{AT_DEPLOYMENT}'."
            for field in ("database_secret_arn", "stripe_secret_arn")
            if getattr(self, field) is None
            and not (field == "stripe_secret_arn" and self.stripe_api_key_secret_arn)
        ]
        return errors


DEV: Final = Environment(name="dev", livemode=False, removal_policy=RemovalPolicy.DESTROY)
"""Stripe's test mode. Goes without a trace; secrets may come as parameters."""

PROD: Final = Environment(name=_PROD, livemode=True)
"""Real money. `cdk.json` has to say where the secrets are, which event source, who is notified."""


def read_environment(name: str, environments: object) -> Environment:
    """Return the environment of that name, with what `cdk.json` says about it.

    Every key and every type is checked against the fields above. A name beside dev and prod is an
    environment like dev.

    Args:
        name: as in `-c environment=…`.
        environments: the context value `environments`; None leaves dev and prod as they are here.

    Raises:
        ValueError: there is no such environment, it has no such field, or a value of another type.
    """
    if environments is None:  # run without the CLI, which is what reads cdk.json
        environments = {DEV.name: {}, PROD.name: {}}
    known = environments if isinstance(environments, Mapping) else {}
    overrides = known.get(name)
    if not isinstance(overrides, Mapping):
        raise ValueError(  # noqa: TRY004 - the value is wrong: a name that is not in cdk.json
            f"environment is {name!r}; cdk.json knows {', '.join(known) or 'none'}. Pass one of "
            "them with -c environment=…, or add it to the context value 'environments' there."
        )
    base = PROD if name == PROD.name else dataclasses.replace(DEV, name=name)
    return dataclasses.replace(base, **_read_fields(Environment, overrides, f"environments.{name}"))


def _read_fields(kind: type, values: Mapping[str, object], path: str) -> dict[str, Any]:
    types = get_type_hints(kind)
    if kind is Environment:
        del types["name"]  # An environment's name is its key.
    for field in values:
        if field not in types:
            raise ValueError(f"{path}.{field} is unknown; allowed is {', '.join(types)}.")
    return {field: _read(types[field], value, f"{path}.{field}") for field, value in values.items()}


def _read(kind: Any, value: object, path: str) -> object:
    optional = get_origin(kind) in (Union, UnionType)  # Literal | None is the former
    if optional and value is None:
        return None
    kind = get_args(kind)[0] if optional else kind
    match value:
        case str() if kind is RemovalPolicy and value in _REMOVAL_POLICIES:
            return _REMOVAL_POLICIES[value]
        case str() if get_origin(kind) is Literal and value in get_args(kind):
            return value
        case list() if kind == tuple[str, ...] and all(isinstance(item, str) for item in value):
            return tuple(value)
        case Mapping() if _is_object(kind) and value.keys() >= set(_required(kind)):
            return kind(**_read_fields(kind, value, path))
        case _ if type(value) is kind:
            return value
    or_null = " or null" if optional else ""
    raise ValueError(f"{path} is {value!r}; allowed is {_allowed(kind)}{or_null}.")


def _is_object(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _required(kind: Any) -> list[str]:
    """Return the fields without a default, in their order."""
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]


def _allowed(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if not _is_object(kind):
        return _ALLOWED[kind]
    required = _required(kind)
    return f"an object with {', '.join(required)}" if required else "an object of what differs"


_REMOVAL_POLICIES: Final = {
    "destroy": RemovalPolicy.DESTROY,
    "retain": RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
}
_ALLOWED: Final[Mapping[object, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    tuple[str, ...]: "a list of texts",
    RemovalPolicy: " or ".join(_REMOVAL_POLICIES),
}
