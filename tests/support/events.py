"""Deliveries as Stripe, EventBridge and API Gateway shape them: the files of tests/events, varied.

Every builder returns a fresh copy. Ids that do not matter are new at each call.
"""

from __future__ import annotations

import base64
import json
import time
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from stripe import WebhookSignature

Json = dict[str, Any]

EVENTS = Path(__file__).resolve().parent.parent / "events"

PARTNER_SOURCE = "aws.partner/stripe.com/ed_test_61Example00000000000000000000"
FORWARDER_SOURCE = "stripe.com"
WEBHOOK_SECRET = "whsec_test_secret"

PAID = "checkout_session_completed_paid"
PAID_OLD_API_VERSION = "checkout_session_completed_paid_2022_08_01"
UNPAID = "checkout_session_completed_unpaid"
ASYNC_SUCCEEDED = "checkout_session_async_payment_succeeded"
ASYNC_FAILED = "checkout_session_async_payment_failed"
NO_PAYMENT_REQUIRED = "checkout_session_completed_no_payment_required"
CONNECT = "checkout_session_completed_connect"
OTHER_TYPE = "payment_intent_succeeded"
THIN = "thin_event"
SESSION_EVENTS = (
    PAID,
    PAID_OLD_API_VERSION,
    UNPAID,
    ASYNC_SUCCEEDED,
    ASYNC_FAILED,
    NO_PAYMENT_REQUIRED,
    CONNECT,
)
STRIPE_EVENTS = (*SESSION_EVENTS, OTHER_TYPE, THIN)


@cache
def _text(name: str) -> str:
    return (EVENTS / f"{name}.json").read_text(encoding="utf-8")


def load(name: str) -> Json:
    """The file of that name under tests/events, as it stands."""
    value: Json = json.loads(_text(name))
    return value


def any_id(prefix: str) -> str:
    """An id such as Stripe gives, never given before; no seed of a test run repeats it."""
    return f"{prefix}_{uuid4().hex}"


def session_event(
    name: str = PAID,
    *,
    order_id: object = "42",
    event: Json | None = None,
    **session: object,
) -> Json:
    """The file ``name`` for one order, with ids of its own.

    Args:
        name: One of ``SESSION_EVENTS``.
        order_id: ``metadata.order_id``; a number is written as Stripe carries it, as a string.
        event: Fields of the event object to set, e.g. ``{"id": "evt_1", "created": 1795000000}``.
        session: Fields of the session to set, e.g. ``amount_total=1``.
    """
    value = load(name)
    fields = value["data"]["object"]
    value["id"], fields["id"] = any_id("evt"), any_id("cs_test")
    if fields["payment_intent"] is not None:
        fields["payment_intent"] = any_id("pi")
    number = isinstance(order_id, int) and not isinstance(order_id, bool)
    fields["metadata"] = {"order_id": str(order_id) if number else order_id}
    fields.update(deepcopy(session))
    value.update(deepcopy(event or {}))
    return value


def any_paid_event(
    *,
    order_id: object = "42",
    amount: object = 2598,
    currency: object = "eur",
    created: int | None = None,
    event: Json | None = None,
    **session: object,
) -> Json:
    """A ``checkout.session.completed`` that is paid, just now unless ``created`` (Unix seconds)."""
    return session_event(
        PAID,
        order_id=order_id,
        event={"created": int(time.time()) if created is None else created, **(event or {})},
        **{"amount_total": amount, "amount_subtotal": amount, "currency": currency, **session},
    )


def eventbridge_envelope(event: Json, *, source: str = PARTNER_SOURCE) -> Json:
    """``event`` as EventBridge hands it to the function."""
    value = load("eventbridge_forwarder" if source == FORWARDER_SOURCE else "eventbridge_partner")
    if source not in (FORWARDER_SOURCE, PARTNER_SOURCE):
        value["resources"] = [f"arn:aws:events:eu-west-1::event-source/{source}"]
    return {
        **value,
        "id": str(uuid4()),
        "source": source,
        "detail-type": event.get("type"),
        "detail": deepcopy(event),
    }


def sqs_batch(*envelopes: object) -> Json:
    """What an event source mapping hands over; a text is a message's body as it is."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "body": each if isinstance(each, str) else json.dumps(each),
                "eventSource": "aws:sqs",
            }
            for number, each in enumerate(envelopes)
        ]
    }


def body_of(value: object) -> str:
    """``value`` as Stripe writes a body: indented JSON, UTF-8."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def signature_header(body: str, *secrets: str, timestamp: int | None = None) -> str:
    """The ``Stripe-Signature`` header, by Stripe's own library; one ``v1`` for each secret."""
    moment = int(time.time()) if timestamp is None else timestamp
    headers = [
        WebhookSignature.generate_signature_header(body, secret, timestamp=moment)
        for secret in secrets
    ]
    return ",".join([f"t={moment}", *(header.partition(",")[2] for header in headers)])


def proxy_request(
    body: object,
    *,
    signature: object = None,
    header_name: str = "Stripe-Signature",
    is_base64_encoded: object = False,
) -> Json:
    """An API Gateway REST proxy request with exactly this body and signature header."""
    value = load("api_gateway_proxy_request")
    for headers in (value["headers"], value["multiValueHeaders"]):
        del headers["Stripe-Signature"]
    if signature is not None:
        value["headers"][header_name] = signature
        value["multiValueHeaders"][header_name] = [signature]
    return {**value, "body": body, "isBase64Encoded": is_base64_encoded}


def webhook_request(
    body: str | Json,
    *secrets: str,
    timestamp: int | None = None,
    header_name: str = "Stripe-Signature",
    base64_encoded: bool = False,
) -> Json:
    """``body`` (an event, or the text itself) as Stripe posts it, signed just now.

    Args:
        body: An event object, or the exact text of the body.
        secrets: Those to sign with; ``WEBHOOK_SECRET`` unless given.
        timestamp: Unix seconds of the signature; now unless given.
        header_name: The signature header's name, in whichever case.
        base64_encoded: As API Gateway passes a body of a binary media type.
    """
    text = body if isinstance(body, str) else body_of(body)
    return proxy_request(
        base64.b64encode(text.encode()).decode() if base64_encoded else text,
        signature=signature_header(text, *(secrets or (WEBHOOK_SECRET,)), timestamp=timestamp),
        header_name=header_name,
        is_base64_encoded=base64_encoded,
    )
