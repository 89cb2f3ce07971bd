"""Every answer that the mock can give, read into the class that Stripe's library has for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from local.fake_stripe.server import StripeServer
from tests.fake_stripe.conformity import assert_declared
from tests.fake_stripe.test_checkout import order
from tests.fake_stripe.test_event_destinations import create, create_webhook
from tests.fake_stripe.test_routes import ROUTES


def of_webhook_endpoints(client: stripe.StripeClient, _server: StripeServer) -> list[Any]:
    endpoints = client.v1.webhook_endpoints
    created = endpoints.create({"url": "https://example.com/", "enabled_events": ["*"]})
    answers = [
        created,
        endpoints.retrieve(created.id),
        endpoints.update(created.id, {"disabled": True}),
        *endpoints.list().data,
    ]
    # Of a deleted object v1 answers only what it was.
    deleted = endpoints.delete(created.id).to_dict()
    assert deleted == {"id": created.id, "object": "webhook_endpoint", "deleted": True}
    return answers


def of_event_destinations(client: stripe.StripeClient, _server: StripeServer) -> list[Any]:
    destinations = client.v2.core.event_destinations
    answers: list[Any] = []
    for created in (create(client), create_webhook(client)):
        answers += [
            created,
            destinations.retrieve(created.id),
            destinations.update(created.id, {"description": "x"}),
            destinations.disable(created.id),
            destinations.enable(created.id),
            *destinations.list().data,
            destinations.ping(created.id),
            destinations.delete(created.id),
        ]
    return answers


def of_checkouts(client: stripe.StripeClient, server: StripeServer) -> list[Any]:
    sessions = client.v1.checkout.sessions
    created, another = sessions.create(order()), sessions.create(order())
    server.pay(created.id)
    paid = sessions.retrieve(created.id)
    intent = client.v1.payment_intents.retrieve(
        str(paid.payment_intent), {"expand": ["latest_charge.refunds"]}
    )
    assert isinstance(intent.latest_charge, stripe.Charge)
    return [
        *(created, paid, *sessions.list().data, sessions.expire(another.id)),
        *(intent, intent.latest_charge, client.v1.charges.retrieve(intent.latest_charge.id)),
        client.v1.refunds.create({"payment_intent": intent.id}),
        *client.v1.refunds.list({"payment_intent": intent.id}).data,
    ]


def of_events(client: stripe.StripeClient, server: StripeServer) -> list[Any]:
    snapshot = server.create_paid_checkout(amount=500)
    thin, *_ = client.v2.core.events.list().data
    return [
        *(client.v1.events.retrieve(snapshot["id"]), *client.v1.events.list().data),
        *(thin, client.v2.core.events.retrieve(thin.id)),
    ]


@pytest.mark.parametrize(
    "ask", [of_webhook_endpoints, of_event_destinations, of_checkouts, of_events]
)
def test_answer_is_what_the_library_declares(
    client: stripe.StripeClient,
    stripe_server: StripeServer,
    ask: Callable[[stripe.StripeClient, StripeServer], list[Any]],
) -> None:
    for answer in ask(client, stripe_server):
        assert isinstance(answer, stripe.StripeObject)
        assert type(answer) is not stripe.StripeObject
        assert_declared(answer)


def test_answer_of_every_operation_is_checked(
    client: stripe.StripeClient, stripe_server: StripeServer
) -> None:
    for ask in (of_webhook_endpoints, of_event_destinations, of_checkouts, of_events):
        ask(client, stripe_server)
    unasked = [
        (route.method, route.path.pattern)
        for route in ROUTES
        if not any(
            method == route.method and route.path.fullmatch(path)
            for method, path in stripe_server.requests
        )
    ]
    assert unasked == []
