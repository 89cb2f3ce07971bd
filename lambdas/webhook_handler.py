"""The fallback route: Stripe's webhook, through API Gateway's Lambda proxy integration."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from settlement.adapters.envelopes import open_webhook_request
from settlement.adapters.secrets import SecretsManagerSecret
from settlement.adapters.signatures import (
    FixedSigningSecrets,
    SignatureVerifier,
    StoredSigningSecrets,
)
from settlement.bootstrap import deliver
from settlement.configuration import WebhookSettings, read_webhook_settings
from settlement.domain.outcomes import Route

if TYPE_CHECKING:
    from settlement.adapters.signatures import SigningSecrets
    from settlement.domain.clock import Deadline, LambdaContext


def handler(request: object, context: LambdaContext) -> dict[str, Any]:
    """Answer one proxy request: 200 once the outcome is committed, 503 to be asked again."""

    def open_request(deadline: Deadline) -> object:
        settings, verifier = webhook()
        return open_webhook_request(
            request, verifier, deadline, max_body_bytes=settings.max_body_bytes
        )

    result = deliver(open_request, route=Route.WEBHOOK, context=context)
    return {
        "statusCode": int(result.http_status),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(result.answer()),
    }


@cache
def webhook() -> tuple[WebhookSettings, SignatureVerifier]:
    """Build the verifier from the environment, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    settings = read_webhook_settings(os.environ)
    secrets: SigningSecrets
    if settings.secrets:
        secrets = FixedSigningSecrets(settings.secrets)
    else:
        secrets = StoredSigningSecrets(SecretsManagerSecret(settings.secret_arn or ""))
    return settings, SignatureVerifier(secrets, tolerance=settings.tolerance)
