"""Checkout Sessions of mode `payment`, and the payments, charges and refunds that come of them.

Paying is what a buyer does on Stripe's page, so it is no request of the API: see `control`. Source:
Stripe API reference, "Checkout Sessions", "PaymentIntents", "Charges", "Refunds".
"""

from __future__ import annotations

import time
from typing import Any, Final

import stripe
from stripe.checkout import Session

from local.fake_stripe.account import Json, Mode, merge_metadata, new_id, nulls
from local.fake_stripe.errors import ApiError, missing
from local.fake_stripe.events import Events
from local.fake_stripe.pagination import in_range, v1_page
from local.fake_stripe.parameters import Parameters

_PLAYED: Final = frozenset(
    {
        *("mode", "line_items", "metadata", "client_reference_id", "customer_email", "expires_at"),
        *("success_url", "cancel_url", "payment_intent_data", "expand"),
    }
)
_DAY: Final = 86_400


class Checkout:
    """The operations on sessions, and what happens to their payments."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def create(self, mode: Mode, parameters: Parameters) -> Json:
        """Create an open session. What this mock does not play is refused rather than ignored."""
        currency, total = _priced(parameters)
        now = int(time.time())
        session = {
            **nulls(Session),
            "id": new_id(f"cs_{mode.test}"),
            "object": "checkout.session",
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": dict.fromkeys(("liability", "provider", "status"), None)
            | {"enabled": False},
            "cancel_url": parameters.get("cancel_url"),
            "client_reference_id": parameters.get("client_reference_id"),
            "created": now,
            "currency": currency,
            "custom_fields": [],
            "custom_text": dict.fromkeys(
                ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
            ),
            "customer_email": parameters.get("customer_email"),
            "expires_at": parameters.get("expires_at", now + _DAY),
            "livemode": mode.livemode,
            "metadata": merge_metadata({}, parameters.get("metadata")),
            "mode": "payment",
            "payment_method_types": ["card"],
            "payment_status": "unpaid" if total else "no_payment_required",
            "shipping_options": [],
            "status": "open",
            "success_url": parameters.get("success_url"),
            "ui_mode": "hosted_page",
        }
        del session["line_items"]  # in an answer only when it is expanded, which is not played
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        mode.sessions[session["id"]] = session
        mode.intent_metadata[session["id"]] = merge_metadata(
            {}, parameters.get("payment_intent_data", {}).get("metadata")
        )
        return session

    def retrieve(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Return the session."""
        if id_ not in mode.sessions:
            raise missing("checkout.session", id_, param="session")
        return mode.sessions[id_]

    def list_(self, mode: Mode, parameters: Parameters) -> Json:
        """Return a page of the sessions that match, the newest first."""
        cursors = ("created", "ending_before", "expand", "limit", "starting_after")
        wanted = {name: value for name, value in parameters.items() if name not in cursors}
        found = [
            session
            for session in reversed(mode.sessions.values())
            if in_range(session["created"], parameters.get("created"))
            and all(session[name] == value for name, value in wanted.items())
        ]
        return v1_page(found, parameters, url="/v1/checkout/sessions", kind="checkout.session")

    def expire(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Expire an open session."""
        session = self.retrieve(mode, {}, id_)
        if session["status"] != "open":
            raise ApiError(
                400,
                'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
                f"Session has a status of {session['status']}.",
            )
        session["status"] = "expired"
        self._events.publish(mode, "checkout.session.expired", session)
        return session

    def complete(
        self,
        mode: Mode,
        id_: str,
        *,
        paid: bool = True,
        created: int | None = None,
        deliver: bool = True,
    ) -> Json:
        """Complete an open session, as its buyer does. Return the event.

        Args:
            mode: whose session it is.
            id_: of the session.
            paid: False for a method that pays later, such as a bank debit.
            created: epoch seconds; now unless given.
            deliver: False if every delivery of the event is lost.
        """
        session = self.retrieve(mode, {}, id_)
        if session["status"] != "open":
            raise ApiError(400, f"The session is {session['status']}; only an open one is paid.")
        session["status"] = "complete"
        if created is not None:
            session["created"] = min(created, session["created"])
        if session["amount_total"]:
            session["payment_intent"] = _new_intent(mode, session)
            if paid:
                _charge(mode, session)
        return self._events.publish(
            mode, "checkout.session.completed", session, created=created, deliver=deliver
        )

    def settle_later(
        self,
        mode: Mode,
        id_: str,
        *,
        succeeded: bool = True,
        created: int | None = None,
        deliver: bool = True,
    ) -> Json:
        """End the payment of a completed session that was to pay later. Return the event."""
        session = self.retrieve(mode, {}, id_)
        if session["status"] != "complete" or session["payment_status"] != "unpaid":
            raise ApiError(400, "The session has no payment that is still to come.")
        if succeeded:
            _charge(mode, session)
        else:
            mode.payment_intents[session["payment_intent"]]["status"] = "requires_payment_method"
        type_ = f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}"
        return self._events.publish(mode, type_, session, created=created, deliver=deliver)

    def refund(self, mode: Mode, parameters: Parameters) -> Json:
        """Refund a payment, or a part of it."""
        intent_id = parameters.get("payment_intent")
        if intent_id is None and parameters.get("charge") in mode.charges:
            intent_id = mode.charges[parameters["charge"]]["payment_intent"]
        if intent_id is None:
            raise ApiError(
                400, "One of the following params should be provided: payment_intent or charge."
            )
        charge = _charge_of(mode, retrieve_intent(mode, {}, intent_id))
        left = charge["amount"] - charge["amount_refunded"]
        amount = parameters.get("amount", left)
        if not 0 < amount <= left:
            raise ApiError(
                400,
                f"Charge {charge['id']} has already been refunded."
                if not left
                else f"Refund amount ({amount}) is greater than unrefunded amount ({left}).",
                code="charge_already_refunded" if not left else None,
                param=None if not left else "amount",
            )
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        refund = {
            **nulls(stripe.Refund),
            "id": new_id("re_"),
            "object": "refund",
            "amount": amount,
            "charge": charge["id"],
            "created": int(time.time()),
            "currency": charge["currency"],
            "metadata": merge_metadata({}, parameters.get("metadata")),
            "payment_intent": intent_id,
            "reason": parameters.get("reason"),
            "status": "succeeded",
        }
        mode.refunds[refund["id"]] = refund
        self._events.publish(mode, "refund.created", refund)
        self._events.publish(mode, "charge.refunded", charge)
        return refund


def retrieve_intent(mode: Mode, _parameters: Parameters, id_: str) -> Json:
    """Return a payment intent; `latest_charge` can be expanded."""
    if id_ not in mode.payment_intents:
        raise missing("payment_intent", id_, param="intent")
    return mode.payment_intents[id_]


def retrieve_charge(mode: Mode, _parameters: Parameters, id_: str) -> Json:
    """Return a charge; `refunds` can be expanded."""
    if id_ not in mode.charges:
        raise missing("charge", id_)
    return mode.charges[id_]


def list_refunds(mode: Mode, parameters: Parameters) -> Json:
    """Return a page of the refunds that match, the newest first."""
    found = [
        refund
        for refund in reversed(mode.refunds.values())
        if parameters.get("payment_intent") in (None, refund["payment_intent"])
        and parameters.get("charge") in (None, refund["charge"])
        and in_range(refund["created"], parameters.get("created"))
    ]
    return v1_page(found, parameters, url="/v1/refunds", kind="refund")


def expand(mode: Mode, answer: Json, paths: list[str]) -> Json:
    """Return the answer with ids replaced by what they are of, as the `expand` parameter asks.

    Raises:
        ApiError: 400 for a property that has nothing to expand, or that is not played.
    """
    for path in paths:
        first, _, rest = path.partition(".")
        if answer.get("object") == "list" and first == "data" and rest:
            answer = {**answer, "data": [expand(mode, each, [rest]) for each in answer["data"]]}
            continue
        value = answer.get(first)
        if isinstance(value, str):
            value = _found(mode, first).get(value)
        elif first == "refunds" and answer.get("object") == "charge":
            value = list_refunds(mode, {"charge": answer["id"], "limit": 10})
        elif value is not None or first not in answer:
            value = None if not isinstance(value, dict) else value
            if value is None:
                raise _unexpandable(path)
        if rest and value is not None:
            value = expand(mode, value, [rest])
        answer = {**answer, first: value}
    return answer


def _found(mode: Mode, name: str) -> dict[str, Json]:
    stores = {
        "charge": mode.charges,
        "latest_charge": mode.charges,
        "payment_intent": mode.payment_intents,
    }
    if name not in stores:
        raise _unexpandable(name)
    return stores[name]


def _unexpandable(path: str) -> ApiError:
    return ApiError(400, f"This property cannot be expanded ({path}).", param="expand")


def _priced(parameters: Parameters) -> tuple[str, int]:
    """Currency and total of what is bought, of the prices that are in the request itself."""
    for name in parameters:
        if name not in _PLAYED:
            raise _not_played(name)
    if parameters.get("mode") != "payment":
        raise _not_played(f"mode={parameters.get('mode')}")
    if set(parameters.get("payment_intent_data", {})) - {"metadata"}:
        raise _not_played("payment_intent_data beyond its metadata")
    items: list[dict[str, Any]] = parameters.get("line_items", [])
    if not items:
        raise ApiError(400, "Missing required param: line_items.", code="parameter_missing")
    total, currencies = 0, set()
    for item in items:
        price = item.get("price_data")
        if price is None or "unit_amount" not in price:
            raise _not_played("a line item without price_data[unit_amount]")
        total += price["unit_amount"] * item.get("quantity", 1)
        currencies.add(price["currency"].lower())
    if len(currencies) > 1:
        raise ApiError(400, "All line items must have the same currency.", param="line_items")
    return currencies.pop(), total


def _not_played(what: str) -> ApiError:
    return ApiError(400, f"local/fake_stripe does not play {what}.")


def _new_intent(mode: Mode, session: Json) -> str:
    intent = {
        **nulls(stripe.PaymentIntent),
        "id": new_id("pi_"),
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "created": session["created"],
        "currency": session["currency"],
        "livemode": mode.livemode,
        "metadata": mode.intent_metadata[session["id"]],
        "payment_method_types": ["card"],
        "status": "processing",
    }
    mode.payment_intents[intent["id"]] = intent
    return str(intent["id"])


def _charge(mode: Mode, session: Json) -> None:
    intent = mode.payment_intents[session["payment_intent"]]
    charge = {
        **nulls(stripe.Charge),
        "id": new_id("ch_"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"],
        "amount_refunded": 0,
        "billing_details": dict.fromkeys(("address", "email", "name", "phone", "tax_id")),
        "captured": True,
        "created": int(time.time()),
        "currency": intent["currency"],
        "disputed": False,
        "livemode": mode.livemode,
        "metadata": dict(intent["metadata"]),
        "paid": True,
        "payment_intent": intent["id"],
        "refunded": False,
        "status": "succeeded",
    }
    del charge["refunds"]  # in an answer only when it is expanded
    mode.charges[charge["id"]] = charge
    intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
    session["payment_status"] = "paid"


def _charge_of(mode: Mode, intent: Json) -> Json:
    if intent["latest_charge"] is None:
        raise ApiError(
            400,
            "This PaymentIntent does not have a successful charge to refund.",
            code="payment_intent_unexpected_state",
            param="payment_intent",
        )
    return mode.charges[intent["latest_charge"]]
