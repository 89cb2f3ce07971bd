"""Envelope in, plain Stripe event out. What comes out is authentic; nothing else comes out."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from settlement.errors import DeliveryTooLarge, RejectedDelivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.adapters.signatures import SignatureVerifier
    from settlement.configuration import EventSources
    from settlement.domain.clock import Deadline

STRIPE_FORWARDER_SOURCE = "stripe.com"
"""Set by forwarders that call PutEvents themselves."""
STRIPE_PARTNER_SOURCE_PREFIX = "aws.partner/stripe.com/"
"""EventBridge lets nobody but Stripe send with it ("Send events to Amazon EventBridge", Stripe)."""


def open_eventbridge_envelope(envelope: object, sources: EventSources) -> object:
    """Take the Stripe event out of an EventBridge event.

    EventBridge alone may invoke the function, and the rule's pattern has matched; the source is
    checked again because a test invocation or a redrive bypasses the rule.

    Args:
        envelope: What the function was invoked with.
        sources: Whose events are settled.

    Raises:
        RejectedDelivery: it is no EventBridge event of Stripe's, or of another source.
    """
    if not isinstance(envelope, dict) or "detail" not in envelope:
        raise RejectedDelivery("expected an EventBridge event with a detail")
    source = envelope.get("source")
    if not isinstance(source, str) or not _is_accepted(source, sources):
        allowed = sources.partner_source or f"{STRIPE_PARTNER_SOURCE_PREFIX}…"
        if sources.forwarders and not sources.partner_source:
            allowed += f" or {STRIPE_FORWARDER_SOURCE}"
        raise RejectedDelivery(f"the EventBridge event's source is not {allowed}")
    return envelope["detail"]


def open_sqs_record(record: object, sources: EventSources) -> object:
    """Take the Stripe event out of an SQS message whose body is an EventBridge event.

    Args:
        record: One of the ``Records`` that an event source mapping hands over.
        sources: Whose events are settled.

    Raises:
        RejectedDelivery: the body is not JSON, or no EventBridge event of Stripe's.
    """
    body = record.get("body") if isinstance(record, dict) else None
    if not isinstance(body, str):
        raise RejectedDelivery("expected an SQS message with a body")
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        raise RejectedDelivery("the message's body is not JSON") from None
    return open_eventbridge_envelope(envelope, sources)


def _is_accepted(source: str, sources: EventSources) -> bool:
    if sources.partner_source:
        return source == sources.partner_source
    if source == STRIPE_FORWARDER_SOURCE:
        return sources.forwarders
    return source.startswith(STRIPE_PARTNER_SOURCE_PREFIX)


def open_webhook_request(
    request: object, verifier: SignatureVerifier, deadline: Deadline, *, max_body_bytes: int
) -> object:
    """Verify an API Gateway proxy request and parse its body.

    Raises:
        DeliveryTooLarge: the body exceeds ``max_body_bytes``.
        RejectedDelivery: the request is not signed by Stripe, or its body is not JSON.
        RetryableError: the signing secrets could not be read.
    """
    if not isinstance(request, dict) or not isinstance(request.get("body"), str):
        raise RejectedDelivery("expected an API Gateway proxy request with a body")
    body = _raw_body(request, max_body_bytes)
    text = verifier.verify(body, _header(request, "stripe-signature"), deadline)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RejectedDelivery("the body is not JSON") from None


def _raw_body(request: Mapping[str, Any], max_bytes: int) -> bytes:
    """Return the bytes Stripe signed. Check the size first: all that follows costs by the byte."""
    text: str = request["body"]
    encoded = request.get("isBase64Encoded") is True
    try:
        if len(text) > (max_bytes * 4 // 3 + 4 if encoded else max_bytes):
            raise DeliveryTooLarge(f"the body is larger than {max_bytes} bytes")
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
    except ValueError:
        problem = "base64, although isBase64Encoded is set" if encoded else "UTF-8"
        raise RejectedDelivery(f"the body is not {problem}") from None
    if len(body) > max_bytes:
        raise DeliveryTooLarge(f"the body is larger than {max_bytes} bytes")
    return body


def _header(request: Mapping[str, Any], name: str) -> str | None:
    """Names arrive in any case ("Input format of a Lambda function for proxy integration")."""
    headers = request.get("headers")
    for key, value in headers.items() if isinstance(headers, dict) else ():
        if isinstance(key, str) and key.lower() == name and isinstance(value, str):
            return value
    return None
