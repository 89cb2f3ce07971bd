"""Deliveries to webhooks and to EventBridge, read by Stripe's library."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe

from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer
from tests.fake_stripe.conftest import Webhook

COMPLETED: Any = "checkout.session.completed"


def webhook_endpoint(client: stripe.StripeClient, url: str, *events: Any) -> stripe.WebhookEndpoint:
    return client.v1.webhook_endpoints.create(
        {"url": url, "enabled_events": list(events) or [COMPLETED]}
    )


def destination(client: stripe.StripeClient, payload: Any, url: str | None = None) -> Any:
    """A destination for what is completed: a webhook at `url`, or EventBridge."""
    place: Any = (
        {"type": "webhook_endpoint", "webhook_endpoint": {"url": url}}
        if url
        else {
            "type": "amazon_eventbridge",
            "amazon_eventbridge": {"aws_account_id": "0" * 12, "aws_region": "eu-west-1"},
        }
    )
    prefix = "v1." if payload == "thin" else ""
    parameters: Any = {
        "name": "tickets",
        "event_payload": payload,
        "enabled_events": [prefix + COMPLETED],
        "include": ["webhook_endpoint.signing_secret"],
        **place,
    }
    return client.v2.core.event_destinations.create(parameters)


def pay(server: StripeServer, **arguments: Any) -> dict[str, Any]:
    event = server.create_paid_checkout(amount=500, metadata={"order_id": "42"}, **arguments)
    server.wait_until_delivered()
    return event


def test_snapshot_is_signed_with_the_endpoints_secret(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    endpoint = webhook_endpoint(client, webhook.url)
    paid = pay(stripe_server)
    [(body, signature)] = webhook.received
    event = client.construct_event(body, signature, str(endpoint.secret))
    assert (event.id, event.type) == (paid["id"], COMPLETED)
    assert event.data.object["metadata"]["order_id"] == "42"


def test_thin_webhook_is_signed_by_the_same_scheme(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    created = destination(client, "thin", webhook.url)
    paid = pay(stripe_server)
    [(body, signature)] = webhook.received
    notification = client.parse_event_notification(
        body, signature, created.webhook_endpoint.signing_secret
    )
    assert isinstance(notification, stripe.events.V1CheckoutSessionCompletedEventNotification)
    assert notification.fetch_related_object().id == paid["data"]["object"]["id"]
    assert notification.fetch_event().snapshot_event == paid["id"]


def test_snapshot_destination_gets_its_own_api_version(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    client.v1.webhook_endpoints.create(
        {"url": webhook.url, "enabled_events": ["*"], "api_version": "2022-08-01"}
    )
    pay(stripe_server)
    [(body, _)] = webhook.received
    assert '"api_version": "2022-08-01"' in body


def test_eventbridge_gets_snapshots_or_thin_events_as_registered(
    stripe_server: StripeServer,
    client: stripe.StripeClient,
    partner_events: PartnerEventsInMemory,
) -> None:
    created = {payload: destination(client, payload).id for payload in ("snapshot", "thin")}
    for source in list(partner_events.sources):
        partner_events.associate(source)
    paid = pay(stripe_server)
    received = {source.rpartition("/")[2]: event for source, event in partner_events.received}
    assert received[created["snapshot"]]["id"] == paid["id"]
    thin = received[created["thin"]]
    assert (thin["type"], thin["snapshot_event"]) == (f"v1.{COMPLETED}", paid["id"])


def test_source_without_a_bus_loses_the_event(
    stripe_server: StripeServer, client: stripe.StripeClient, partner_events: PartnerEventsInMemory
) -> None:
    destination(client, "snapshot")
    pay(stripe_server)
    assert partner_events.received == []
    assert [attempt["problem"] for attempt in stripe_server.attempts()] == [None]


def test_failure_is_tried_again_with_a_signature_of_its_own(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    endpoint = webhook_endpoint(client, webhook.url)
    webhook.statuses = [500, 302]
    pay(stripe_server)
    assert [attempt["status"] for attempt in stripe_server.attempts()] == [500, 302, 200]
    for body, signature in webhook.received:
        client.construct_event(body, signature, str(endpoint.secret))


def test_retries_end(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    webhook_endpoint(client, webhook.url)
    webhook.statuses = [500] * 10
    pay(stripe_server)
    assert [attempt["number"] for attempt in stripe_server.attempts()] == [1, 2, 3, 4]


def test_deleted_endpoint_is_not_tried_again(client: stripe.StripeClient, webhook: Webhook) -> None:
    with StripeServer(retry_seconds=(0.3,)) as server:
        client = server.client()
        endpoint = webhook_endpoint(client, webhook.url)
        webhook.statuses = [500]
        server.create_paid_checkout(amount=500)
        client.v1.webhook_endpoints.delete(endpoint.id)
        server.wait_until_delivered()
    assert len(webhook.received) <= 1


@pytest.mark.parametrize("kind", ["disabled", "other type", "created later"])
def test_who_does_not_want_the_event_does_not_get_it(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook, kind: str
) -> None:
    if kind == "disabled":
        endpoint = webhook_endpoint(client, webhook.url)
        client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    elif kind == "other type":
        webhook_endpoint(client, webhook.url, "charge.refunded")
    pay(stripe_server)
    webhook_endpoint(client, webhook.url)
    stripe_server.wait_until_delivered()
    assert webhook.received == []


def test_rolled_secret_signs_beside_the_new_one_until_it_expires(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    endpoint = webhook_endpoint(client, webhook.url)
    old = str(endpoint.secret)
    new = stripe_server.roll_secret(endpoint.id)
    pay(stripe_server)
    [(body, signature)] = webhook.received
    assert signature.count("v1=") == 2
    for secret in (old, new):
        client.construct_event(body, signature, secret)

    newest = stripe_server.roll_secret(endpoint.id, overlap_seconds=0)
    pay(stripe_server)
    body, signature = webhook.received[-1]
    client.construct_event(body, signature, newest)
    for secret in (old, new):
        with pytest.raises(stripe.SignatureVerificationError):
            client.construct_event(body, signature, secret)


def test_ping_reaches_the_destination_that_it_is_for(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    created = destination(client, "thin", webhook.url)
    destination(client, "thin", webhook.url)
    event = client.v2.core.event_destinations.ping(created.id)
    stripe_server.wait_until_delivered()
    [(body, signature)] = webhook.received
    secret = created.webhook_endpoint.signing_secret
    notification: Any = client.parse_event_notification(body, signature, secret)
    assert notification.id == event.id
    assert notification.related_object.id == created.id


def test_event_can_be_sent_again(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    webhook_endpoint(client, webhook.url)
    paid = pay(stripe_server)
    stripe_server.resend(paid["id"])
    stripe_server.wait_until_delivered()
    bodies = [body for body, _ in webhook.received]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


def test_event_whose_deliveries_are_lost_can_still_be_read(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    webhook_endpoint(client, webhook.url)
    hour_ago = int(time.time()) - 3_600
    lost = pay(stripe_server, deliver=False, created=hour_ago)
    assert webhook.received == []
    assert client.v1.events.retrieve(lost["id"]).created == hour_ago


def test_url_is_reached_where_it_is_on_this_machine(webhook: Webhook) -> None:
    with StripeServer(resolve_url={"https://api.example.com/x": webhook.url}.__getitem__) as server:
        webhook_endpoint(server.client(), "https://api.example.com/x")
        pay(server)
    assert len(webhook.received) == 1
