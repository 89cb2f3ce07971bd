"""Stripe's side of the local cloud: its servers are played, the signature is by its own library.

What is sent has the shape that Stripe gives it: a snapshot event whose `data.object` is the
Checkout Session ("The Event object", Stripe API reference), as a partner event or a signed POST.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

import urllib3
from stripe import WebhookSignature

from local.shop import Order

API_VERSION: Final = "2026-10-28.endive"
_SECONDS: Final = 40.0
"""For an answer: longer than API Gateway waits for the function."""

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the webhook answered."""

    status: int
    outcome: str | None
    """As the body says; None for a body that says none."""


class FakeStripe:
    """Plays Stripe: builds events and delivers them by either route."""

    def __init__(
        self, *, events: Any, event_source: str, webhook_url: str, signing_secret: str
    ) -> None:
        """
        Args:
            events: a boto3 client for EventBridge.
            event_source: the partner event source, whose bus has the same name.
            webhook_url: of the endpoint.
            signing_secret: of the endpoint, `whsec_…`.
        """
        self._events = events
        self._event_source = event_source
        self._webhook_url = webhook_url
        self._signing_secret = signing_secret

    def paid(self, order: Order, *, payment: str = "1", amount: int | None = None) -> Event:
        """`checkout.session.completed` of a paid checkout of this order.

        Args:
            order: what was bought.
            payment: the ids of event, session and payment intent end in it.
            amount: what was paid, in minor units; the order's total unless given.
        """
        return _event("checkout.session.completed", order, payment, amount=amount)

    def unpaid(self, order: Order, *, payment: str = "1") -> Event:
        """`checkout.session.completed` of a method that pays later, such as a bank debit."""
        return _event("checkout.session.completed", order, payment, payment_status="unpaid")

    def async_payment_succeeded(self, order: Order, *, payment: str = "1") -> Event:
        """Return the event of a later payment that has come."""
        return _event("checkout.session.async_payment_succeeded", order, payment)

    def async_payment_failed(self, order: Order, *, payment: str = "1") -> Event:
        """Return the event of a later payment that has failed."""
        return _event(
            "checkout.session.async_payment_failed", order, payment, payment_status="unpaid"
        )

    def publish(self, event: Event) -> None:
        """Send it to the bus, as a partner does (`PutPartnerEvents`).

        Raises:
            RuntimeError: EventBridge did not take it.
        """
        answer = self._events.put_partner_events(
            Entries=[
                {
                    "Source": self._event_source,
                    "DetailType": event["type"],
                    "Detail": json.dumps(event),
                    "Time": event["created"],
                    "Resources": [],
                }
            ]
        )
        if answer.get("FailedEntryCount"):
            raise RuntimeError(f"EventBridge did not take the event: {answer['Entries']}")

    def post(self, event: Event, *, secret: str | None = None) -> Answer:
        """Post it to the webhook, signed just now.

        Args:
            event: what is sent.
            secret: to sign with; the endpoint's unless given.
        """
        body = json.dumps(event, indent=2)
        signature = WebhookSignature.generate_signature_header(
            body, secret or self._signing_secret, timestamp=int(time.time())
        )
        response = urllib3.request(
            "POST",
            self._webhook_url,
            body=body.encode(),
            headers={"Content-Type": "application/json", "Stripe-Signature": signature},
            timeout=_SECONDS,
            retries=False,
        )
        return Answer(status=response.status, outcome=_outcome(response.data))


def _outcome(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    return outcome if isinstance(outcome, str) else None


def _event(
    type_: str,
    order: Order,
    payment: str,
    *,
    payment_status: str = "paid",
    amount: int | None = None,
) -> Event:
    name = f"local_{order.id}_{payment}"
    moment = int(time.time())
    total = order.amount if amount is None else amount
    return {
        "id": f"evt_{name}_{type_.rpartition('.')[2]}",
        "object": "event",
        "api_version": API_VERSION,
        "created": moment,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
        "data": {
            "object": {
                "id": f"cs_test_{name}",
                "object": "checkout.session",
                "amount_subtotal": total,
                "amount_total": total,
                "created": moment,
                "currency": order.currency,
                "livemode": False,
                "metadata": {"order_id": str(order.id)},
                "mode": "payment",
                "payment_intent": f"pi_{name}",
                "payment_status": payment_status,
                "status": "complete",
            }
        },
    }
