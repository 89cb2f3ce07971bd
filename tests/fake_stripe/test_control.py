"""The control calls from another process."""

from __future__ import annotations

import pytest
import stripe

from local.fake_stripe.control import call
from local.fake_stripe.server import StripeServer


def test_checkout_is_paid_and_seen_over_http(stripe_server: StripeServer) -> None:
    url = stripe_server.url
    session = call(url, "create_checkout", amount=500, metadata={"order_id": "42"})
    event = call(url, "pay", session["id"])
    call(url, "wait_until_delivered", seconds=10.0)
    assert event["data"]["object"]["metadata"] == {"order_id": "42"}
    assert call(url, "registered") == []


def test_key_made_over_http_is_good_for_the_api(stripe_server: StripeServer) -> None:
    key = call(stripe_server.url, "add_key", permissions=["event_read"])
    assert stripe_server.client(key).v1.events.list().data == []


def test_fault_is_ordered_over_http(stripe_server: StripeServer) -> None:
    call(stripe_server.url, "inject", status=500, times=5)
    with pytest.raises(stripe.APIError):
        stripe_server.client().v1.events.list()
    call(stripe_server.url, "clear_faults")
    stripe_server.client().v1.events.list()


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("stop", {}, "No control call 'stop'"),
        ("pay", {"session": "cs_test_none"}, "No such checkout.session"),
        ("pay", {"sesion": "x"}, "unexpected keyword argument"),
        ("create_checkout", {}, "amount"),
    ],
)
def test_call_that_is_wrong_says_why(
    stripe_server: StripeServer, name: str, arguments: dict[str, str], problem: str
) -> None:
    with pytest.raises(RuntimeError, match=problem):
        call(stripe_server.url, name, **arguments)
