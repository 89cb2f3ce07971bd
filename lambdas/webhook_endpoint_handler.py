"""Run by CloudFormation: Stripe's webhook endpoint of the stack, and its signing secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stripe_account.api_key import livemode, open_client, read_secret
from stripe_account.aws import SigningSecrets
from stripe_account.custom_resource import answer
from stripe_account.webhook_endpoint import WebhookEndpoint, usable_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.domain.clock import LambdaContext


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Create, update or delete it, and answer CloudFormation."""
    answer(event, context, _webhook_endpoint)


def _webhook_endpoint() -> WebhookEndpoint:
    secret = read_secret()
    return WebhookEndpoint(
        open_client(secret),
        SigningSecrets(os.environ["SIGNING_SECRET_ARN"]),
        livemode=livemode(),
        given_secret=usable_secret(secret.get("webhook_secret")),
    )
