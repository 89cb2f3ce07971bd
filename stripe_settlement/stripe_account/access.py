"""How a deployment reaches Stripe's API: the key, the mode, and what the functions run with."""

from dataclasses import dataclass, field

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager

from stripe_settlement.functions.network import Network
from stripe_settlement.settings import FunctionSettings, StripeAccountSettings


@dataclass(frozen=True, kw_only=True)
class StripeAccess:
    """What the resources at Stripe have in common."""

    livemode: bool
    """Whether real payments are sent (True) or test ones (False); the key must be of that mode."""

    api_key_secret: secretsmanager.ISecret
    """JSON secret whose `api_key` is a secret key, or a restricted one that may write event
    destinations and webhook endpoints."""

    code: lambda_.Code
    """The functions' asset, built for the runtime and the architecture of `functions`."""

    settings: StripeAccountSettings = field(default_factory=StripeAccountSettings)
    """Of what is created."""

    functions: FunctionSettings = field(default_factory=FunctionSettings)
    """What the functions have in common with those that settle; neither timeout nor concurrency,
    for they run once a deployment."""

    service_name: str | None = None
    """The service in their logs."""

    network: Network | None = None
    """Where they run, if the settings say so."""
