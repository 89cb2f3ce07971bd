"""`/v1/webhook_endpoints`, through Stripe's library."""

from __future__ import annotations

import pytest
import stripe

from local.fake_stripe.server import StripeServer

URL = "https://example.com/webhooks/stripe"


def create(client: stripe.StripeClient, url: str = URL) -> stripe.WebhookEndpoint:
    return client.v1.webhook_endpoints.create(
        {"url": url, "enabled_events": ["checkout.session.completed"], "metadata": {"a": "1"}}
    )


def test_secret_is_in_the_answer_to_the_creation_only(client: stripe.StripeClient) -> None:
    created = create(client)
    assert created.secret
    assert created.secret.startswith("whsec_")
    endpoints = client.v1.webhook_endpoints
    for later in (
        endpoints.retrieve(created.id),
        endpoints.update(created.id, {"description": "x"}),
        endpoints.list().data[0],
    ):
        assert "secret" not in later


def test_update_changes_what_is_given_and_nothing_else(client: stripe.StripeClient) -> None:
    created = create(client)
    changed = client.v1.webhook_endpoints.update(
        created.id,
        {"url": "https://example.com/other", "disabled": True, "metadata": {"a": "", "b": "2"}},
    )
    assert (changed.url, changed.status) == ("https://example.com/other", "disabled")
    assert changed.metadata.to_dict() == {"b": "2"}
    assert changed.enabled_events == created.enabled_events


def test_second_endpoint_of_the_same_url_is_another_one(client: stripe.StripeClient) -> None:
    assert create(client).id != create(client).id
    assert len(client.v1.webhook_endpoints.list().data) == 2


def test_deleted_endpoint_is_gone(client: stripe.StripeClient, stripe_server: StripeServer) -> None:
    created = create(client)
    assert client.v1.webhook_endpoints.delete(created.id).deleted is True
    assert stripe_server.registered() == []
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint") as error:
        client.v1.webhook_endpoints.retrieve(created.id)
    assert (error.value.http_status, error.value.code) == (404, "resource_missing")


def test_pages_hold_each_endpoint_once_with_the_newest_first(client: stripe.StripeClient) -> None:
    ids = [create(client).id for _ in range(5)]
    pages = client.v1.webhook_endpoints.list({"limit": 2})
    assert [each.id for each in pages.auto_paging_iter()] == ids[::-1]
    assert (len(pages.data), pages.has_more) == (2, True)


def test_page_before_an_endpoint_holds_what_is_newer(client: stripe.StripeClient) -> None:
    ids = [create(client).id for _ in range(3)]
    page = client.v1.webhook_endpoints.list({"ending_before": ids[0], "limit": 1})
    assert [each.id for each in page.data] == [ids[1]]
    assert page.has_more


@pytest.mark.parametrize("limit", [0, 101])
def test_limit_is_1_to_100(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v1.webhook_endpoints.list({"limit": limit})
    assert error.value.param == "limit"


def test_live_mode_takes_https_only(stripe_server: StripeServer) -> None:
    live = stripe_server.client(stripe_server.account.live_key)
    with pytest.raises(stripe.InvalidRequestError, match="https://") as error:
        create(live, "http://example.com")
    assert error.value.code == "url_invalid"
    assert create(live).livemode is True


def test_modes_do_not_see_each_others_objects(stripe_server: StripeServer) -> None:
    created = create(stripe_server.client())
    live = stripe_server.client(stripe_server.account.live_key)
    assert live.v1.webhook_endpoints.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        live.v1.webhook_endpoints.delete(created.id)
