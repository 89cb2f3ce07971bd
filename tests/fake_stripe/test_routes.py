"""Each request that the library can make of what is played, and the parameters it declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from local.fake_stripe.checkout import Checkout
from local.fake_stripe.event_destinations import EventDestinations
from local.fake_stripe.events import Events
from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.routes import Route, routes

DESTINATIONS = EventDestinations(PartnerEventsInMemory())
EVENTS = Events(lambda *_: None, DESTINATIONS)
ROUTES = routes(DESTINATIONS, EVENTS, Checkout(EVENTS))


def requests_of_the_library() -> Iterator[Any]:
    """Each synchronous method of the services that are played whole, and those of others."""
    client = stripe.StripeClient("sk_test_any")
    whole = {
        "webhook_endpoints": client.v1.webhook_endpoints,
        "events": client.v1.events,
        "event_destinations": client.v2.core.event_destinations,
        "core.events": client.v2.core.events,
    }
    for name, service in whole.items():
        for method, function in inspect.getmembers(service, inspect.ismethod):
            if not method.startswith("_") and not method.endswith("_async"):
                yield pytest.param(function, id=f"{name}.{method}")
    sessions, refunds = client.v1.checkout.sessions, client.v1.refunds
    parts: list[Any] = [
        *(sessions.create, sessions.list, sessions.retrieve, sessions.expire),
        *(client.v1.payment_intents.retrieve, client.v1.charges.retrieve),
        *(refunds.list, refunds.create),
    ]
    for part in parts:
        yield pytest.param(part, id=part.__qualname__)


def route_of(function: Any, monkeypatch: pytest.MonkeyPatch) -> Route:
    """The route that takes the request which this method of the library makes."""
    asked: list[tuple[str, str]] = []
    service = type(function.__self__)
    monkeypatch.setattr(
        service, "_request", lambda _self, method, path, **_: asked.append((method.upper(), path))
    )
    needed = [
        "id"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
    ]
    function(*needed)
    [(method, path)] = asked
    [route] = [route for route in ROUTES if route.method == method and route.path.fullmatch(path)]
    return route


@pytest.mark.parametrize("function", list(requests_of_the_library()))
def test_request_of_the_library_is_played_with_the_parameters_that_it_declares(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = re.search(r"\w+Params", str(inspect.signature(function).parameters["params"]))
    assert declared
    route = route_of(function, monkeypatch)
    assert route.shape.__name__ == declared[0]
