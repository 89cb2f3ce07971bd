"""`/v2/core/event_destinations`, through Stripe's library."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer

EVENTBRIDGE: dict[str, Any] = {
    "name": "tickets",
    "type": "amazon_eventbridge",
    "event_payload": "snapshot",
    "enabled_events": ["checkout.session.completed"],
    "amazon_eventbridge": {"aws_account_id": "000000000000", "aws_region": "eu-west-1"},
}
WEBHOOK: dict[str, Any] = {
    "name": "tickets",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["v1.checkout.session.completed"],
    "webhook_endpoint": {"url": "https://example.com/webhooks/stripe"},
}


def create(client: stripe.StripeClient, **changes: Any) -> stripe.v2.core.EventDestination:
    return client.v2.core.event_destinations.create({**EVENTBRIDGE, **changes})  # type: ignore[typeddict-item]


def create_webhook(client: stripe.StripeClient, **changes: Any) -> stripe.v2.core.EventDestination:
    return client.v2.core.event_destinations.create({**WEBHOOK, **changes})  # type: ignore[typeddict-item]


def test_creation_makes_the_partner_event_source(
    client: stripe.StripeClient, partner_events: PartnerEventsInMemory
) -> None:
    created = create(client)
    source = f"aws.partner/stripe.com/{created.id}"
    assert partner_events.sources == {source: "pending"}
    assert created.amazon_eventbridge
    assert created.amazon_eventbridge.aws_event_source_arn == (
        f"arn:aws:events:eu-west-1::event-source/{source}"
    )


def test_status_of_the_source_is_the_one_at_aws(
    client: stripe.StripeClient, partner_events: PartnerEventsInMemory
) -> None:
    created = create(client)
    partner_events.associate(f"aws.partner/stripe.com/{created.id}")
    seen = client.v2.core.event_destinations.retrieve(created.id).amazon_eventbridge
    assert seen
    assert seen.aws_event_source_status == "active"


def test_destination_is_disabled_once_its_source_is_gone(
    client: stripe.StripeClient, partner_events: PartnerEventsInMemory
) -> None:
    created = create(client)
    partner_events.sources.clear()
    seen = client.v2.core.event_destinations.retrieve(created.id)
    assert seen.status == "disabled"
    assert seen.status_details
    assert seen.status_details.disabled
    assert seen.status_details.disabled.reason == "no_aws_event_source_exists"


def test_deletion_removes_the_source_and_leaves_nothing(
    client: stripe.StripeClient, partner_events: PartnerEventsInMemory, stripe_server: StripeServer
) -> None:
    created = create(client)
    deleted = client.v2.core.event_destinations.delete(created.id)
    assert (deleted.id, deleted.object) == (created.id, "v2.core.event_destination")
    assert partner_events.sources == {}
    assert stripe_server.registered() == []


def test_missing_destination_is_a_404_with_a_code(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v2.core.event_destinations.retrieve("ed_test_none")
    assert (error.value.http_status, error.value.code) == (404, "not_found")


def test_signing_secret_and_url_are_told_on_demand_and_the_secret_at_creation_only(
    client: stripe.StripeClient,
) -> None:
    silent = create_webhook(client).webhook_endpoint
    assert silent
    assert (silent.signing_secret, silent.url) == (None, None)
    include = ["webhook_endpoint.signing_secret", "webhook_endpoint.url"]
    told = create_webhook(client, include=include)
    assert told.webhook_endpoint
    assert (told.webhook_endpoint.signing_secret or "").startswith("whsec_")
    assert told.webhook_endpoint.url == "https://example.com/webhooks/stripe"
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized enum value"):
        client.v2.core.event_destinations.retrieve(told.id, {"include": include})


def test_update_changes_what_is_given(client: stripe.StripeClient) -> None:
    created = create(client)
    changed = client.v2.core.event_destinations.update(
        created.id, {"name": "other", "enabled_events": ["*"], "metadata": {"stack": "dev"}}
    )
    assert (changed.name, changed.enabled_events) == ("other", ["*"])
    assert changed.description == created.description
    assert changed.metadata
    assert changed.metadata.to_dict() == {"stack": "dev"}


def test_disabled_destination_says_that_a_user_did_it(client: stripe.StripeClient) -> None:
    created = create(client)
    disabled = client.v2.core.event_destinations.disable(created.id)
    assert disabled.status == "disabled"
    assert disabled.status_details
    assert disabled.status_details.disabled
    assert disabled.status_details.disabled.reason == "user"
    enabled = client.v2.core.event_destinations.enable(created.id)
    assert (enabled.status, enabled.status_details) == ("enabled", None)


def test_pages_hold_each_destination_once_and_keep_what_was_asked_for(
    client: stripe.StripeClient,
) -> None:
    ids = [create_webhook(client).id for _ in range(5)]
    pages = client.v2.core.event_destinations.list(
        {"limit": 2, "include": ["webhook_endpoint.url"]}
    )
    found = list(pages.auto_paging_iter())
    assert [each.id for each in found] == ids[::-1]
    assert all(each.webhook_endpoint and each.webhook_endpoint.url for each in found)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "red"}, "colour: Unknown field"),
        ({"amazon_eventbridge": {"aws_account_id": "1", "aws_region": "eu-west-1"}}, "12 digits"),
        ({"amazon_eventbridge": {"aws_account_id": "0" * 12}}, "amazon_eventbridge.aws_region"),
        ({"enabled_events": ["v1.checkout.session.completed"]}, r"enabled_events\[0\]"),
        ({"event_payload": "thin"}, r"enabled_events\[0\]"),
        ({"type": "webhook_endpoint"}, "amazon_eventbridge: Not allowed"),
        ({"type": "amazon_sqs"}, "type: Unrecognized enum value"),
        ({"event_payload": "thin", "snapshot_api_version": "x"}, "snapshot_api_version"),
    ],
)
def test_field_that_is_wrong_is_named(
    client: stripe.StripeClient,
    partner_events: PartnerEventsInMemory,
    changes: dict[str, Any],
    field: str,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=field) as error:
        create(client, **changes)
    assert (error.value.http_status, error.value.code) == (400, "invalid_fields")
    assert partner_events.sources == {}
