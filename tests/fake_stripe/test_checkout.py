"""Checkout Sessions, payment intents, charges and refunds, through Stripe's library."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from local.fake_stripe.server import StripeServer


def order(amount: int = 2500, quantity: int = 2, **more: Any) -> Any:
    """The parameters with which a shop creates a session."""
    price = {"currency": "EUR", "unit_amount": amount, "product_data": {"name": "Ticket"}}
    return {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": quantity}],
        "metadata": {"order_id": "42"},
        "success_url": "https://example.com/thanks",
        **more,
    }


def test_session_costs_what_its_items_cost(client: stripe.StripeClient) -> None:
    created = client.v1.checkout.sessions.create(order(amount=1299, quantity=2))
    assert (created.amount_total, created.currency) == (2598, "eur")
    assert (created.status, created.payment_status) == ("open", "unpaid")
    assert created.metadata
    assert created.metadata.to_dict() == {"order_id": "42"}


def test_paying_completes_the_session_with_a_charge(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    created = client.v1.checkout.sessions.create(
        order(payment_intent_data={"metadata": {"order_id": "42"}})
    )
    event = stripe_server.pay(created.id)
    paid = client.v1.checkout.sessions.retrieve(created.id, {"expand": ["payment_intent"]})
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received) == ("succeeded", 5000)
    assert intent.metadata.to_dict() == {"order_id": "42"}
    assert event["type"] == "checkout.session.completed"
    assert event["data"]["object"]["payment_intent"] == intent.id


def test_session_is_paid_once(stripe_server: StripeServer) -> None:
    session = stripe_server.create_checkout(amount=500)["id"]
    stripe_server.pay(session)
    with pytest.raises(Exception, match="only an open one is paid"):
        stripe_server.pay(session)


@pytest.mark.parametrize(
    ("succeeded", "type_", "payment_status"),
    [
        (True, "checkout.session.async_payment_succeeded", "paid"),
        (False, "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_later_payment_ends_well_or_badly(
    stripe_server: StripeServer, succeeded: bool, type_: str, payment_status: str
) -> None:
    session = stripe_server.create_checkout(amount=500)["id"]
    completed = stripe_server.pay(session, paid=False)
    assert completed["data"]["object"]["payment_status"] == "unpaid"
    later = stripe_server.settle_later(session, succeeded=succeeded)
    assert (later["type"], later["data"]["object"]["payment_status"]) == (type_, payment_status)
    assert completed["data"]["object"]["payment_status"] == "unpaid"


def test_session_of_nothing_needs_no_payment(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    created = client.v1.checkout.sessions.create(order(amount=0))
    session = stripe_server.pay(created.id)["data"]["object"]
    assert (session["payment_status"], session["payment_intent"]) == ("no_payment_required", None)


def test_expired_session_cannot_be_paid_nor_expire_again(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    created = client.v1.checkout.sessions.create(order())
    assert client.v1.checkout.sessions.expire(created.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="status of expired"):
        client.v1.checkout.sessions.expire(created.id)
    with pytest.raises(Exception, match="only an open one is paid"):
        stripe_server.pay(created.id)


def test_list_filters_by_payment_status_and_time(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    paid = stripe_server.create_paid_checkout(amount=500, created=1_000)["data"]["object"]
    client.v1.checkout.sessions.create(order())
    sessions = client.v1.checkout.sessions
    assert [each.id for each in sessions.list({"status": "complete"}).data] == [paid["id"]]
    assert [each.id for each in sessions.list({"created": {"lt": 2_000}}).data] == [paid["id"]]
    found = sessions.list({"payment_intent": paid["payment_intent"]})
    assert [each.id for each in found.data] == [paid["id"]]


@pytest.mark.parametrize(
    "more",
    [
        {"mode": "subscription"},
        {"allow_promotion_codes": True},
        {"line_items": [{"price": "price_1", "quantity": 1}]},
        {"payment_intent_data": {"capture_method": "manual"}},
    ],
)
def test_what_is_not_played_is_refused(client: stripe.StripeClient, more: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not play"):
        client.v1.checkout.sessions.create(order(**more))


def test_partial_refunds_add_up_and_no_further(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    intent = stripe_server.create_paid_checkout(amount=500)["data"]["object"]["payment_intent"]
    client.v1.refunds.create({"payment_intent": intent, "amount": 200})
    stripe_server.refund(intent, amount=300)
    seen = client.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}).latest_charge
    assert isinstance(seen, stripe.Charge)
    assert (seen.refunded, seen.amount_refunded) == (True, 500)
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v1.refunds.create({"payment_intent": intent})
    assert error.value.code == "charge_already_refunded"
    amounts = [each.amount for each in client.v1.refunds.list({"payment_intent": intent}).data]
    assert amounts == [300, 200]


def test_property_that_is_nothing_to_expand_is_refused(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    session = stripe_server.create_paid_checkout(amount=500)["data"]["object"]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.checkout.sessions.retrieve(session["id"], {"expand": ["amount_total"]})
