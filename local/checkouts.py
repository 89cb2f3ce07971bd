"""The shop's checkouts at the mock of Stripe: created with Stripe's library, paid, and delivered.

The mock delivers what is paid by every route that is registered there, as Stripe does, or by the
one of one's choice. All of it goes over HTTP, so that another process can pay as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import stripe
import urllib3

from local.fake_stripe.account import Secret
from local.fake_stripe.control import ControlError, call
from local.fake_stripe.delivery import WEBHOOK_SECONDS, sign
from local.shop import Order
from local.waiting import wait_for

Event = dict[str, Any]
Route = Literal["eventbridge", "webhook"]

COMPLETED: Final = "checkout.session.completed"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a delivery."""

    status: int | None
    """None of EventBridge, which has none."""
    outcome: str | None
    """As the webhook's body says; None for one that says none."""


class Checkouts:
    """What the shop and its buyers do at Stripe, and which route brings the event."""

    def __init__(self, url: str, api_key: str) -> None:
        """
        Args:
            url: of the mock.
            api_key: the shop's. It creates and lists checkouts, and lists events.
        """
        self._url = url
        self._v1 = stripe.StripeClient(
            api_key, base_addresses={"api": url}, max_network_retries=0
        ).v1

    def create(
        self, order: Order, *, amount: int | None = None, metadata: dict[str, str] | None = None
    ) -> str:
        """Create a checkout, as the shop does; return the session's id.

        Args:
            order: what is bought.
            amount: what is to be paid, in minor units; the order's total unless given.
            metadata: of the session; the order's number unless given.
        """
        price = {
            "currency": order.currency,
            "unit_amount": order.amount if amount is None else amount,
            "product_data": {"name": "Tickets"},
        }
        parameters: Any = {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "metadata": {"order_id": str(order.id)} if metadata is None else metadata,
            "success_url": "https://shop.example.com/thanks",
        }
        return str(self._v1.checkout.sessions.create(parameters).id)

    def pay(self, order: Order, **arguments: Any) -> Event:
        """Create a checkout and pay it; return the event, which is delivered as registered.

        Args:
            order: what is bought.
            **arguments: `paid`, `created` and `deliver`, as of `control.Control.pay`.
        """
        return self._call("pay", self.create(order), **arguments)

    def paid(
        self, order: Order, *, amount: int | None = None, metadata: dict[str, str] | None = None
    ) -> Event:
        """Create a checkout and pay it; return the event, which nothing has delivered yet."""
        session = self.create(order, amount=amount, metadata=metadata)
        return self._call("pay", session, deliver=False)

    def paid_once(self, order: Order, *, amount: int | None = None) -> Event:
        """Pay the order's checkout of that amount, unless it is paid; return its event."""
        total = order.amount if amount is None else amount
        for session in self._v1.checkout.sessions.list({"limit": 100}).auto_paging_iter():
            of = session.metadata and session.metadata.to_dict().get("order_id")
            if (of, session.amount_total) == (str(order.id), total):
                break
        else:
            return self.paid(order, amount=amount)
        if session.status == "open":
            return self._call("pay", session.id, deliver=False)
        listed = self._v1.events.list({"type": COMPLETED, "limit": 100}).auto_paging_iter()
        return next(event.to_dict() for event in listed if event.data.object["id"] == session.id)

    def unpaid(self, order: Order) -> Event:
        """Complete a checkout by a method that pays later, such as a bank debit."""
        return self._call("pay", self.create(order), paid=False, deliver=False)

    def settle_later(self, event: Event, *, succeeded: bool = True) -> Event:
        """End the payment that was to come later, well or badly; return the event of it."""
        session = event["data"]["object"]["id"]
        return self._call("settle_later", session, succeeded=succeeded, deliver=False)

    def publish(self, event: Event) -> None:
        """Have the mock put it on the bus, once.

        Raises:
            ControlError: EventBridge did not take it.
        """
        self._resend(event, "eventbridge")

    def post(self, event: Event) -> Answer:
        """Have the mock post it to the webhook, once; return what the webhook answered.

        Raises:
            ControlError: nobody answered.
        """
        return self._resend(event, "webhook")

    def deliver(self, event: Event, route: Route) -> Answer:
        """Have the mock deliver it by one route, with retries; return what the first came to.

        Raises:
            ControlError: nobody took it, nor answered.
            WaitedInVain: the mock never tried.
        """
        before = len(call(self._url, "attempts", event=event["id"]))
        call(self._url, "deliver", event["id"], target=self.target(route))
        [attempt, *_] = wait_for(
            lambda: call(self._url, "attempts", event=event["id"])[before:] or None,
            f"the mock of Stripe to deliver {event['id']}",
        )
        return _answer_of(attempt)

    def target(self, route: Route) -> str:
        """Return the id of what is registered for a route.

        Raises:
            ControlError: nothing is, or more than one.
        """
        found = [
            each["id"]
            for each in call(self._url, "registered")
            if is_destination(each) is (route == "eventbridge")
        ]
        if len(found) != 1:
            raise ControlError(f"For {route}, {len(found)} are registered at the mock of Stripe.")
        return str(found[0])

    def _resend(self, event: Event, route: Route) -> Answer:
        [attempt] = call(self._url, "resend", event["id"], target=self.target(route))
        return _answer_of(attempt)

    def _call(self, name: str, *args: Any, **arguments: Any) -> Event:
        return dict(call(self._url, name, *args, **arguments))


def forge(webhook_url: str, event: Event) -> Answer:
    """Post an event as Stripe would, but signed with a secret that is not the endpoint's."""
    body = json.dumps(event, indent=2)
    response = urllib3.request(
        "POST",
        webhook_url,
        body=body.encode(),
        headers={
            "Content-Type": "application/json",
            "Stripe-Signature": sign(body, [Secret("whsec_of_another")]),
        },
        timeout=WEBHOOK_SECONDS,
        retries=False,
    )
    return Answer(status=response.status, outcome=_outcome(response.data))


def is_destination(target: dict[str, Any]) -> bool:
    """Return whether what is registered is an event destination at EventBridge, by its ARN."""
    return str(target["to"]).startswith("arn:")


def _answer_of(attempt: dict[str, Any]) -> Answer:
    if attempt["problem"] and attempt["status"] is None:
        raise ControlError(f"{attempt['target']} did not take the event: {attempt['problem']}")
    return Answer(status=attempt["status"], outcome=_outcome(attempt["answer"] or ""))


def _outcome(body: bytes | str) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    return outcome if isinstance(outcome, str) else None
