"""What is paid at the mock comes by the route of one's choice, and the functions' code reads it."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from local.checkouts import Answer, Checkouts, forge
from local.cloud import local_webhook_url
from local.fake_stripe.control import ControlError
from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer
from local.shop import Order
from settlement.domain.payments import Payment, PaymentState, Rules, read_event, read_payment
from tests.fake_stripe.conftest import Webhook

ORDER = Order(id=42, ticket_id=1, discount_code_id=None, quantity=2, amount=2598, currency="eur")


@pytest.fixture
def checkouts(
    stripe_server: StripeServer,
    client: stripe.StripeClient,
    webhook: Webhook,
    partner_events: PartnerEventsInMemory,
) -> Checkouts:
    """With a webhook and an event source registered, by a key that may do no more than it says."""
    client.v1.webhook_endpoints.create({"url": webhook.url, "enabled_events": ["*"]})
    parameters: Any = {
        "name": "any",
        "type": "amazon_eventbridge",
        "event_payload": "snapshot",
        "enabled_events": ["*"],
        "amazon_eventbridge": {"aws_account_id": "0" * 12, "aws_region": "eu-west-1"},
    }
    created = client.v2.core.event_destinations.create(parameters)
    partner_events.associate(f"aws.partner/stripe.com/{created.id}")
    key = stripe_server.add_key(permissions=["checkout_session_write", "event_read"])
    return Checkouts(stripe_server.url, key)


@pytest.mark.parametrize("route", ["eventbridge", "webhook"])
def test_event_comes_by_the_route_that_was_chosen_and_no_other(
    checkouts: Checkouts, webhook: Webhook, partner_events: PartnerEventsInMemory, route: Any
) -> None:
    checkouts.deliver(checkouts.paid(ORDER), route)
    received = {"eventbridge": len(partner_events.received), "webhook": len(webhook.received)}
    assert received == {"eventbridge": 0, "webhook": 0} | {route: 1}


def test_payment_comes_by_every_route_unless_one_is_chosen(
    stripe_server: StripeServer,
    checkouts: Checkouts,
    webhook: Webhook,
    partner_events: PartnerEventsInMemory,
) -> None:
    checkouts.pay(ORDER)
    stripe_server.wait_until_delivered()
    assert (len(partner_events.received), len(webhook.received)) == (1, 1)


def test_delivery_is_tried_again_and_a_single_post_is_not(
    stripe_server: StripeServer, checkouts: Checkouts, webhook: Webhook
) -> None:
    event = checkouts.paid(ORDER)
    webhook.statuses = [503, 503]
    assert checkouts.post(event) == Answer(status=503, outcome=None)
    assert checkouts.deliver(event, "webhook") == Answer(status=503, outcome=None)
    stripe_server.wait_until_delivered()
    assert [each["status"] for each in stripe_server.attempts()] == [503, 503, 200]


def test_checkout_is_paid_once_however_often_it_is_asked_for(checkouts: Checkouts) -> None:
    session = checkouts.create(ORDER)
    first, second = checkouts.paid_once(ORDER), checkouts.paid_once(ORDER)
    assert first["data"]["object"]["id"] == session
    assert first["id"] == second["id"]


def test_another_amount_is_another_checkout_of_the_order(checkouts: Checkouts) -> None:
    checkouts.create(ORDER)
    first, second = (checkouts.paid_once(ORDER, amount=4500) for _ in "ab")
    assert first["data"]["object"]["amount_total"] == 4500
    assert first["data"]["object"]["metadata"] == {"order_id": "42"}
    assert first["id"] == second["id"]
    assert checkouts.paid_once(ORDER)["data"]["object"]["amount_total"] == 2598


def test_forged_event_does_not_verify_with_stripes_own_library(
    checkouts: Checkouts, client: stripe.StripeClient, webhook: Webhook, stripe_server: StripeServer
) -> None:
    event = checkouts.paid(ORDER)
    checkouts.post(event)
    forge(webhook.url, event)
    [[secret]] = stripe_server.account.test.secrets.values()
    (body, signature), (forged, forged_signature) = webhook.received
    assert client.construct_event(body, signature, secret.value).id == event["id"]
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(forged, forged_signature, secret.value)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b'{"outcome": "settled"}', "settled"),
        *((body, None) for body in (b"", b"<html>", b"[]", b'{"message": "Internal"}')),
    ],
)
def test_answer_is_the_status_and_the_outcome_if_it_has_one(
    checkouts: Checkouts, webhook: Webhook, answer: bytes, outcome: str | None
) -> None:
    webhook.answer = answer
    assert checkouts.post(checkouts.paid(ORDER)) == Answer(status=200, outcome=outcome)


def test_route_that_nothing_is_registered_for_is_an_error(stripe_server: StripeServer) -> None:
    checkouts = Checkouts(stripe_server.url, stripe_server.account.test_key)
    with pytest.raises(ControlError, match="For webhook, 0 are registered"):
        checkouts.post(checkouts.paid(ORDER))


def test_event_that_nobody_takes_is_an_error(
    checkouts: Checkouts, partner_events: PartnerEventsInMemory
) -> None:
    event = checkouts.paid(ORDER)
    partner_events.sources.clear()
    with pytest.raises(ControlError, match="did not take the event: KeyError"):
        checkouts.publish(event)


def test_functions_read_in_an_event_what_it_is_meant_to_say(checkouts: Checkouts) -> None:
    paid, unpaid = checkouts.paid(ORDER), checkouts.unpaid(ORDER)
    said = {
        PaymentState.PAID: paid,
        PaymentState.UNPAID: unpaid,
        PaymentState.FAILED: checkouts.settle_later(unpaid, succeeded=False),
    }
    for state, event in said.items():
        payment = read_payment(read_event(event), Rules(livemode=False))
        assert isinstance(payment, Payment)
        assert (payment.order_id, payment.amount, payment.currency) == (42, 2598, "eur")
        assert payment.state is state


def test_webhook_is_where_the_emulator_serves_it() -> None:
    url = "https://af0f2ce8.execute-api.eu-west-1.amazonaws.com/Prod/webhooks/stripe"
    assert (
        local_webhook_url("http://127.0.0.1:4566", url)
        == "http://127.0.0.1:4566/_aws/execute-api/af0f2ce8/Prod/webhooks/stripe"
    )
