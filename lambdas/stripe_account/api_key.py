"""The Stripe API key of the deployment, out of Secrets Manager, for each request anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from settlement.adapters.secrets import get_secret_value
from settlement.adapters.stripe_api import open_stripe
from settlement.domain.clock import Deadline
from settlement.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stripe import StripeClient

_SECONDS = 20.0


def livemode() -> bool:
    """Whether this deployment settles real money."""
    return os.environ["STRIPE_LIVEMODE"] == "true"


def read_secret() -> Mapping[str, Any]:
    """Return the JSON secret that holds the key.

    Raises:
        SecretUnavailable: it cannot be read.
    """
    return get_secret_value(os.environ["STRIPE_API_KEY_SECRET_ARN"], Deadline(_SECONDS))


def open_client(secret: Mapping[str, Any]) -> StripeClient:
    """Return a client with the secret's key.

    Raises:
        ConfigurationError: there is none, or it is of the other mode.
    """
    api_key = secret.get("api_key")
    if not isinstance(api_key, str):
        raise ConfigurationError("the secret of the Stripe API key holds no api_key; put it in")
    return open_stripe(api_key.strip(), livemode=livemode())
