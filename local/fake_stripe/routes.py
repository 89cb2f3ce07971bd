"""Which request is which operation, with the type of its parameters and its permission."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stripe import params
from stripe.params import checkout as checkout_params
from stripe.params.v2 import core as core_params

from local.fake_stripe import checkout, webhook_endpoints
from local.fake_stripe.checkout import Checkout
from local.fake_stripe.event_destinations import EventDestinations
from local.fake_stripe.events import Events


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of the API."""

    method: str
    path: re.Pattern[str]
    """Its group, if it has one, is the id of the object."""
    permission: str
    shape: Any
    """The TypedDict of its parameters."""
    operation: Callable[..., Any]
    """Takes the mode, the parameters, and the id if the path has one."""


def routes(destinations: EventDestinations, events: Events, sessions: Checkout) -> list[Route]:
    """Return every route."""
    return [*_v1(events, sessions), *_v2(destinations, events)]


def _v1(events: Events, sessions: Checkout) -> list[Route]:
    endpoint = _resource("/v1/webhook_endpoints", "webhook")
    event = _resource("/v1/events", "event")
    session = _resource("/v1/checkout/sessions", "checkout_session")
    intent = _resource("/v1/payment_intents", "payment_intent")
    charge = _resource("/v1/charges", "charge")
    refund = _resource("/v1/refunds", "charge")
    return [
        endpoint("POST", "", params.WebhookEndpointCreateParams, webhook_endpoints.create),
        endpoint("GET", "", params.WebhookEndpointListParams, webhook_endpoints.list_),
        endpoint("GET", "/ID", params.WebhookEndpointRetrieveParams, webhook_endpoints.retrieve),
        endpoint("POST", "/ID", params.WebhookEndpointUpdateParams, webhook_endpoints.update),
        endpoint("DELETE", "/ID", params.WebhookEndpointDeleteParams, webhook_endpoints.delete),
        event("GET", "", params.EventListParams, events.list_),
        event("GET", "/ID", params.EventRetrieveParams, events.retrieve),
        session("POST", "", checkout_params.SessionCreateParams, sessions.create),
        session("GET", "", checkout_params.SessionListParams, sessions.list_),
        session("GET", "/ID", checkout_params.SessionRetrieveParams, sessions.retrieve),
        session("POST", "/ID/expire", checkout_params.SessionExpireParams, sessions.expire),
        intent("GET", "/ID", params.PaymentIntentRetrieveParams, checkout.retrieve_intent),
        charge("GET", "/ID", params.ChargeRetrieveParams, checkout.retrieve_charge),
        refund("GET", "", params.RefundListParams, checkout.list_refunds),
        refund("POST", "", params.RefundCreateParams, sessions.refund),
    ]


def _v2(destinations: EventDestinations, events: Events) -> list[Route]:
    # In the dashboard "Webhook Endpoints and Event Destinations" are one permission.
    destination = _resource("/v2/core/event_destinations", "webhook")
    event = _resource("/v2/core/events", "event")
    return [
        destination("POST", "", core_params.EventDestinationCreateParams, destinations.create),
        destination("GET", "", core_params.EventDestinationListParams, destinations.list_),
        destination(
            "GET", "/ID", core_params.EventDestinationRetrieveParams, destinations.retrieve
        ),
        destination("POST", "/ID", core_params.EventDestinationUpdateParams, destinations.update),
        destination("DELETE", "/ID", core_params.EventDestinationDeleteParams, destinations.delete),
        destination(
            "POST", "/ID/enable", core_params.EventDestinationEnableParams, destinations.enable
        ),
        destination(
            "POST", "/ID/disable", core_params.EventDestinationDisableParams, destinations.disable
        ),
        destination("POST", "/ID/ping", core_params.EventDestinationPingParams, events.ping),
        event("GET", "", core_params.EventListParams, events.list_thin),
        event("GET", "/ID", core_params.EventRetrieveParams, events.retrieve_thin),
    ]


def _resource(path: str, resource: str) -> Callable[[str, str, Any, Callable[..., Any]], Route]:
    """Return what makes the routes below a path, which need the resource's permissions."""

    def route(method: str, below: str, shape: Any, operation: Callable[..., Any]) -> Route:
        return Route(
            method=method,
            path=re.compile((path + below).replace("ID", r"([^/]+)")),
            permission=f"{resource}_{'read' if method == 'GET' else 'write'}",
            shape=shape,
            operation=operation,
        )

    return route
