"""`/v1/events` and `/v2/core/events`, through Stripe's library."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from local.fake_stripe.server import StripeServer
from tests.fake_stripe.conformity import assert_declared
from tests.fake_stripe.conftest import Webhook


def pay(server: StripeServer, **arguments: Any) -> str:
    return str(server.create_paid_checkout(amount=500, **arguments)["id"])


def ids(client: stripe.StripeClient, **parameters: Any) -> list[str]:
    events: Any = client.v1.events.list(parameters)  # type: ignore[arg-type]
    return [event.id for event in events.auto_paging_iter()]


def test_pages_of_a_hundred_hold_each_event_once_with_the_newest_first(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    paid = [pay(stripe_server, created=1_000 + number // 3) for number in range(250)]
    assert ids(client, limit=100) == paid[::-1]
    assert stripe_server.request_count(method="GET", path="/v1/events") == 3


def test_event_of_long_ago_is_listed_where_it_belongs(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    late, early = pay(stripe_server, created=2_000), pay(stripe_server, created=1_000)
    assert ids(client) == [late, early]


def test_list_filters_by_type_and_time(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    first, second, third = (pay(stripe_server, created=moment) for moment in (1_000, 2_000, 3_000))
    stripe_server.refund(client.v1.events.retrieve(third).data.object["payment_intent"])
    completed = "checkout.session.completed"
    assert ids(client, type=completed) == [third, second, first]
    assert ids(client, type="checkout.*") == [third, second, first]
    assert ids(client, types=[completed, "charge.refunded"], created={"lte": 3_000}) == [
        third,
        second,
        first,
    ]
    assert len(ids(client, types=["refund.created", "charge.refunded"])) == 2
    assert ids(client, type=completed, created={"gt": 1_000, "lt": 3_000}) == [second]
    assert ids(client, created=1_000) == [first]


def test_type_and_types_together_are_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        client.v1.events.list({"type": "a", "types": ["b"]})


def test_more_than_20_types_are_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        client.v1.events.list({"types": ["charge.refunded"] * 21})


def test_event_that_a_webhook_does_not_take_is_found_by_its_delivery(
    stripe_server: StripeServer, client: stripe.StripeClient, webhook: Webhook
) -> None:
    client.v1.webhook_endpoints.create({"url": webhook.url, "enabled_events": ["*"]})
    taken = pay(stripe_server)
    stripe_server.wait_until_delivered()
    webhook.statuses = [500] * 4
    refused = pay(stripe_server)
    stripe_server.wait_until_delivered()
    assert ids(client, delivery_success=False) == [refused]
    assert ids(client, delivery_success=True) == [taken]
    assert client.v1.events.retrieve(refused).pending_webhooks == 1


def test_event_keeps_the_object_as_it_was(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    session = stripe_server.create_checkout(amount=500)["id"]
    completed = stripe_server.pay(session, paid=False)["id"]
    stripe_server.settle_later(session)
    assert client.v1.events.retrieve(completed).data.object["payment_status"] == "unpaid"


def test_thin_event_names_the_session_and_the_snapshot(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    paid = stripe_server.create_paid_checkout(amount=500)
    [thin] = client.v2.core.events.list({"types": ["v1.checkout.session.completed"]}).data
    assert isinstance(thin, stripe.events.V1CheckoutSessionCompletedEvent)
    assert_declared(thin)
    assert_declared(client.v2.core.events.retrieve(thin.id))
    assert thin.snapshot_event == paid["id"]
    session = thin.fetch_related_object()
    assert isinstance(session, stripe.checkout.Session)
    assert (session.id, session.payment_status) == (paid["data"]["object"]["id"], "paid")


def test_thin_events_are_found_by_their_object(
    stripe_server: StripeServer, client: stripe.StripeClient
) -> None:
    session = stripe_server.create_paid_checkout(amount=500)["data"]["object"]["id"]
    pay(stripe_server)
    [thin] = client.v2.core.events.list({"object_id": session}).data
    assert client.v2.core.events.retrieve(thin.id).type == "v1.checkout.session.completed"


def test_event_that_does_not_exist_is_a_404(client: stripe.StripeClient) -> None:
    for retrieve in (client.v1.events.retrieve, client.v2.core.events.retrieve):
        with pytest.raises(stripe.InvalidRequestError) as error:
            retrieve("evt_none")
        assert error.value.http_status == 404
