"""The fallback route: Stripe's webhook, through API Gateway's Lambda proxy integration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from settlement.adapters import signatures  # noqa: F401 - load Stripe's library before a delivery
from settlement.adapters.envelopes import open_webhook_request
from settlement.bootstrap import deliver, webhook
from settlement.domain.outcomes import Route

if TYPE_CHECKING:
    from settlement.domain.clock import Deadline, LambdaContext


def handler(request: object, context: LambdaContext) -> dict[str, Any]:
    """Respond to one proxy request: 200 once the outcome is committed, 503 to be asked again."""

    def open_request(deadline: Deadline) -> object:
        settings, verifier = webhook()
        return open_webhook_request(
            request, verifier, deadline, max_body_bytes=settings.max_body_bytes
        )

    result = deliver(open_request, route=Route.WEBHOOK, context=context)
    return {
        "statusCode": int(result.http_status),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(result.http_response()),
    }
