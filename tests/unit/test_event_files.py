"""The files of tests/events look like what Stripe sends: the other tests stand on them."""

from __future__ import annotations

import re

import pytest
import stripe

from tests.support.events import (
    EVENTS,
    NO_PAYMENT_REQUIRED,
    PAID,
    PAID_OLD_API_VERSION,
    SESSION_EVENTS,
    STRIPE_EVENTS,
    load,
)

NOT_IN_EVENTS = {"line_items"}
"""Present only where a request expands it ("Expanding responses", Stripe API reference)."""
NO_LONGER_DOCUMENTED = {"shipping", "shipping_rate"}
TODAYS = [name for name in SESSION_EVENTS if name != PAID_OLD_API_VERSION]


@pytest.mark.parametrize("name", TODAYS)
def test_a_session_carries_every_field_that_stripe_documents(name: str) -> None:
    documented = {
        field for field in stripe.checkout.Session.__annotations__ if field != "OBJECT_NAME"
    }
    assert set(load(name)["data"]["object"]) == documented - NOT_IN_EVENTS


def test_an_older_api_version_renders_the_same_event_with_fewer_fields() -> None:
    old, new = load(PAID_OLD_API_VERSION), load(PAID)
    gone = set(old["data"]["object"]) - set(new["data"]["object"])
    assert (old["id"], old["api_version"] < new["api_version"]) == (new["id"], True)
    assert gone == NO_LONGER_DOCUMENTED


@pytest.mark.parametrize("name", [name for name in STRIPE_EVENTS if name != "thin_event"])
def test_stripes_library_reads_the_snapshot_events(name: str) -> None:
    value = load(name)
    event = stripe.Event.construct_from(value, key=None)
    assert event.data.object["id"] == value["data"]["object"]["id"]


def test_stripes_library_reads_the_thin_event() -> None:
    client = stripe.StripeClient("sk_test_example")
    text = (EVENTS / "thin_event.json").read_text(encoding="utf-8")
    header = stripe.WebhookSignature.generate_signature_header(text, "whsec_test_secret")
    notification = client.parse_event_notification(text, header, "whsec_test_secret")
    assert notification.type == "v1.checkout.session.completed"


def test_a_free_checkout_has_no_payment_intent() -> None:
    assert load(NO_PAYMENT_REQUIRED)["data"]["object"]["payment_intent"] is None


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_persons_are_fictional(path: object) -> None:
    text = (EVENTS / str(path)).read_text(encoding="utf-8")
    assert set(re.findall(r"[\w.+-]+@([\w.-]+)", text)) <= {"example.com"}
