"""Doctor's lines about Stripe: each thing broken at a played Stripe, and exactly its line fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer
from stripe_settlement_cli.finding import Finding, State
from stripe_settlement_cli.stripe_side import (
    Expected,
    StripeSide,
    find_api_key,
    find_signing_secret,
    probe,
    settles_thin_events,
)
from tests.support.stripe_server import partner_events, stripe_server

__all__ = ["partner_events", "stripe_server"]

TYPES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
API = "https://abc123.execute-api.eu-west-1.amazonaws.com/Prod"
SIGNING_SECRET = "whsec_of_this_endpoint"


class AtStripe:
    """A destination and an endpoint that are as the stack expects, to be broken by a test."""

    def __init__(self, server: StripeServer, events: PartnerEventsInMemory) -> None:
        self.server = server
        self.client: Any = server.client()
        self.destination = self.client.v2.core.event_destinations.create(
            {
                "name": "cachao",
                "type": "amazon_eventbridge",
                "event_payload": "snapshot",
                "enabled_events": list(TYPES),
                "amazon_eventbridge": {
                    "aws_account_id": "000000000000",
                    "aws_region": "eu-west-1",
                },
            }
        )
        self.source = f"aws.partner/stripe.com/{self.destination.id}"
        events.associate(self.source)
        self.endpoint = self.client.v1.webhook_endpoints.create(
            {"url": f"{API}/webhooks/stripe", "enabled_events": ["*"]}
        )
        self.key: str | None = server.account.add_key(permissions=["webhook_read"])

    def side(self, **changes: Any) -> StripeSide:
        fields: dict[str, Any] = {
            "livemode": False,
            "event_source": self.source,
            "event_types": TYPES,
            "endpoint": API,
            **changes,
        }
        return StripeSide(self.key, self.server.url, Expected(**fields))

    def states(self, **changes: Any) -> tuple[State, State]:
        side = self.side(**changes)
        return side.destination().state, side.endpoint().state


@pytest.fixture
def at_stripe(stripe_server: StripeServer, partner_events: PartnerEventsInMemory) -> AtStripe:
    return AtStripe(stripe_server, partner_events)


def test_all_is_well_as_it_was_registered(at_stripe: AtStripe) -> None:
    side = at_stripe.side()

    assert side.destination() == Finding(
        State.WELL, f"Stripe: destination {at_stripe.destination.id} enabled, 2 of 2 types"
    )
    assert side.endpoint() == Finding(
        State.WELL, f"Stripe: endpoint {at_stripe.endpoint.id} enabled, 2 of 2 types"
    )


def disable_destination(at: AtStripe) -> None:
    at.client.v2.core.event_destinations.disable(at.destination.id)


def delete_destination(at: AtStripe) -> None:
    at.client.v2.core.event_destinations.delete(at.destination.id)


def drop_a_type(at: AtStripe) -> None:
    at.client.v2.core.event_destinations.update(at.destination.id, {"enabled_events": [TYPES[0]]})


def enable_destination(at: AtStripe) -> None:
    at.client.v2.core.event_destinations.enable(at.destination.id)


def add_the_type(at: AtStripe) -> None:
    at.client.v2.core.event_destinations.update(at.destination.id, {"enabled_events": list(TYPES)})


@pytest.mark.parametrize(
    ("damage", "text", "hint", "mend"),
    [
        (disable_destination, "disabled: it sends nothing", "enable it", enable_destination),
        (drop_a_type, f"1 of 2 types: {TYPES[1]} missing", f"add {TYPES[1]}", add_the_type),
        (delete_destination, "no destination for the event source", "add an Amazon", None),
    ],
)
def test_a_damaged_destination_is_one_broken_line_until_it_is_mended(
    at_stripe: AtStripe,
    damage: Callable[[AtStripe], None],
    text: str,
    hint: str,
    mend: Callable[[AtStripe], None] | None,
) -> None:
    damage(at_stripe)
    found = at_stripe.side().destination()

    assert text in found.text
    assert hint in found.hint
    assert at_stripe.states() == (State.BROKEN, State.WELL)
    if mend is not None:
        mend(at_stripe)
        assert at_stripe.states() == (State.WELL, State.WELL)


def test_a_source_without_its_bus_is_a_broken_line(
    at_stripe: AtStripe, partner_events: PartnerEventsInMemory
) -> None:
    partner_events.create(at_stripe.source, account="000000000000", region="eu-west-1")  # Anew.
    found = at_stripe.side().destination()

    assert "its event source is pending" in found.text
    assert "cdk deploy --revert-drift" in found.hint
    assert at_stripe.states() == (State.BROKEN, State.WELL)


def test_a_destination_of_thin_events_is_a_broken_line(
    at_stripe: AtStripe, stripe_server: StripeServer
) -> None:
    stripe_server.account.test.destinations[at_stripe.destination.id]["event_payload"] = "thin"
    found = at_stripe.side().destination()

    assert "sends thin events" in found.text
    assert "snapshot" in found.hint
    assert "thin_events_key_secret" in found.hint
    assert at_stripe.states() == (State.BROKEN, State.WELL)


def test_a_destination_of_thin_events_is_well_where_they_are_settled(
    at_stripe: AtStripe, stripe_server: StripeServer
) -> None:
    destination = stripe_server.account.test.destinations[at_stripe.destination.id]
    destination |= {
        "event_payload": "thin",
        "enabled_events": [f"v1.{name}" for name in TYPES],
    }
    assert at_stripe.states(thin_events=True) == (State.WELL, State.WELL)

    destination["enabled_events"] = [f"v1.{TYPES[0]}"]
    found = at_stripe.side(thin_events=True).destination()
    assert f"1 of 2 types: v1.{TYPES[1]} missing" in found.text


@pytest.mark.parametrize(
    ("payload", "thin_events", "state"),
    [
        ("snapshot", False, State.WELL),
        ("thin", True, State.WELL),
        ("thin", False, State.BROKEN),
    ],
)
def test_a_destination_that_calls_the_webhook_is_its_endpoint_too(
    at_stripe: AtStripe, payload: str, *, thin_events: bool, state: State
) -> None:
    at_stripe.client.v1.webhook_endpoints.delete(at_stripe.endpoint.id)
    assert at_stripe.states()[1] is State.BROKEN
    prefix = "v1." if payload == "thin" else ""
    at_stripe.client.v2.core.event_destinations.create(
        {
            "name": "webhook",
            "type": "webhook_endpoint",
            "event_payload": payload,
            "enabled_events": [f"{prefix}{name}" for name in TYPES],
            "webhook_endpoint": {"url": f"{API}/webhooks/stripe"},
        }
    )

    assert at_stripe.states(thin_events=thin_events)[1] is state


@pytest.mark.parametrize(
    ("variables", "settles"),
    [({"THIN_EVENTS_KEY_SECRET_ARN": "arn"}, True), ({"STRIPE_API_KEY_SECRET_ARN": "arn"}, False)],
)
def test_thin_events_are_settled_where_a_function_has_a_key_for_them(
    variables: dict[str, str], settles: bool
) -> None:
    configurations = [{}, {"Environment": {"Variables": variables}}]
    assert settles_thin_events(configurations) is settles


@pytest.mark.parametrize(
    ("changes", "text", "hint"),
    [
        ({"disabled": True}, "disabled: it sends nothing", "enable it"),
        ({"enabled_events": [TYPES[0]]}, f"{TYPES[1]} missing", f"add {TYPES[1]}"),
        ({"url": "https://example.com/other"}, "no endpoint has this stack's URL", "WebhookUrl"),
    ],
)
def test_a_damaged_endpoint_is_one_broken_line_until_it_is_mended(
    at_stripe: AtStripe, changes: dict[str, Any], text: str, hint: str
) -> None:
    endpoints = at_stripe.client.v1.webhook_endpoints
    endpoints.update(at_stripe.endpoint.id, changes)
    found = at_stripe.side().endpoint()

    assert text in found.text
    assert hint in found.hint
    assert at_stripe.states() == (State.WELL, State.BROKEN)
    endpoints.update(
        at_stripe.endpoint.id,
        {"disabled": False, "enabled_events": ["*"], "url": f"{API}/webhooks/stripe"},
    )
    assert at_stripe.states() == (State.WELL, State.WELL)


def test_a_bus_that_stripe_does_not_feed_is_advice(at_stripe: AtStripe) -> None:
    assert at_stripe.states(event_source="default") == (State.ADVICE, State.WELL)


def test_without_a_key_stripe_is_not_known_and_not_well(at_stripe: AtStripe) -> None:
    at_stripe.key = None

    assert at_stripe.states() == (State.UNKNOWN, State.UNKNOWN)
    assert "STRIPE_API_KEY" in at_stripe.side().destination().hint


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("sk_live_other_mode", "the API key is of live mode"),
        ("whsec_no_key", "STRIPE_API_KEY is no secret and no restricted key"),
        ("sk_test_unknown", "Stripe does not know the API key"),
    ],
)
def test_a_key_that_does_not_fit_is_said_and_never_shown(
    at_stripe: AtStripe, key: str, text: str
) -> None:
    at_stripe.key = key
    found = [at_stripe.side().destination(), at_stripe.side().endpoint()]

    assert all(each.state is State.UNKNOWN and text in each.text for each in found)
    assert not any(key in each.text + each.hint for each in found)


def test_a_key_without_the_permission_is_told_which_to_ask_for(
    at_stripe: AtStripe, stripe_server: StripeServer
) -> None:
    at_stripe.key = stripe_server.account.add_key(permissions=["event_read"])

    assert at_stripe.states() == (State.UNKNOWN, State.UNKNOWN)
    assert "may read webhook endpoints" in at_stripe.side().endpoint().hint


def test_an_unreachable_stripe_is_not_known(at_stripe: AtStripe) -> None:
    side = StripeSide(
        "sk_test_any",
        "http://127.0.0.1:9",
        Expected(livemode=False, event_source=at_stripe.source, event_types=TYPES, endpoint=API),
    )

    assert side.endpoint().state is State.UNKNOWN


class Secrets:
    """Secrets Manager, with one secret."""

    def __init__(self, **value: str) -> None:
        self._value = value

    def get_secret_value(self, **_: str) -> dict[str, str]:
        return {"SecretString": json.dumps(self._value)}


def configuration(**variables: str) -> dict[str, Any]:
    return {"Environment": {"Variables": variables}}


def test_the_key_of_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "rk_test_environment")
    stack = [configuration(STRIPE_API_KEY_SECRET_ARN="arn", STRIPE_API_BASE="http://stripe")]

    assert find_api_key(stack, lambda: Secrets(api_key="rk_test_stack")) == (
        "rk_test_environment",
        "http://stripe",
    )


def test_the_stacks_own_key_is_read_with_the_callers_rights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    stack = [configuration(), configuration(STRIPE_API_KEY_SECRET_ARN="arn")]

    assert find_api_key(stack, lambda: Secrets(api_key="rk_test_stack")) == ("rk_test_stack", None)


def test_a_stack_without_a_key_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)

    assert find_api_key([configuration(DB_HOST="db")], Secrets) is None


def test_the_newest_signing_secret_signs() -> None:
    stack = [configuration(STRIPE_SECRET_ARN="arn")]

    assert (
        find_signing_secret(stack, lambda: Secrets(webhook_secret="whsec_1, whsec_2")) == "whsec_1"
    )


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[int]]]:
    """A webhook that checks signatures with Stripe's library; and statuses to answer instead."""
    planned: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, outcome = 200, "ignored"
            try:
                stripe.Webhook.construct_event(
                    body, self.headers["Stripe-Signature"], SIGNING_SECRET
                )
            except stripe.SignatureVerificationError:
                status, outcome = 400, "unauthenticated"
            answer = json.dumps({"outcome": outcome}).encode()
            if planned:
                status, answer = planned.pop(0), b"no JSON"
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/Prod/webhooks/stripe", planned
        server.shutdown()
        thread.join(timeout=30)


def test_a_webhook_that_knows_its_signing_secret_is_well(webhook: tuple[str, list[int]]) -> None:
    url, _ = webhook

    assert probe(url, SIGNING_SECRET).state is State.WELL


def test_a_webhook_with_another_signing_secret_is_broken(webhook: tuple[str, list[int]]) -> None:
    url, _ = webhook
    found = probe(url, "whsec_of_another")

    assert found.state is State.BROKEN
    assert "400 unauthenticated to a signed event" in found.text


def test_a_webhook_that_takes_anything_is_broken(webhook: tuple[str, list[int]]) -> None:
    url, planned = webhook
    planned[:] = [200, 200]

    assert probe(url, SIGNING_SECRET).state is State.BROKEN


def test_a_webhook_that_is_not_there_is_broken() -> None:
    assert probe("http://127.0.0.1:9/Prod", SIGNING_SECRET).state is State.BROKEN


def test_without_a_signing_secret_the_webhook_is_not_probed(
    webhook: tuple[str, list[int]],
) -> None:
    assert probe(webhook[0], None).state is State.UNKNOWN
