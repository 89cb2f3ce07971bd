"""Which request is which operation, with the type of its parameters and its permission."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from stripe import params
from stripe.params import checkout as checkout_params
from stripe.params.v2 import core as core_params

from local.fake_stripe import checkout, webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.fake_stripe.checkout import Checkout
    from local.fake_stripe.event_destinations import EventDestinations
    from local.fake_stripe.events import Events


class _DestinationPage(core_params.EventDestinationListParams, total=False):
    """The library follows `next_page_url` as it is, and so declares no `page`."""

    page: str


class _EventPage(core_params.EventListParams, total=False):
    page: str


class _Nothing(TypedDict):
    """No parameters at all."""


@dataclass(frozen=True)
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
    endpoint, session = "/v1/webhook_endpoints", "/v1/checkout/sessions"
    return [
        _route(
            "POST",
            endpoint,
            "webhook_write",
            params.WebhookEndpointCreateParams,
            webhook_endpoints.create,
        ),
        _route(
            "GET",
            endpoint,
            "webhook_read",
            params.WebhookEndpointListParams,
            webhook_endpoints.list_,
        ),
        _route(
            "GET",
            endpoint + "/ID",
            "webhook_read",
            params.WebhookEndpointRetrieveParams,
            webhook_endpoints.retrieve,
        ),
        _route(
            "POST",
            endpoint + "/ID",
            "webhook_write",
            params.WebhookEndpointUpdateParams,
            webhook_endpoints.update,
        ),
        _route(
            "DELETE",
            endpoint + "/ID",
            "webhook_write",
            params.WebhookEndpointDeleteParams,
            webhook_endpoints.delete,
        ),
        _route("GET", "/v1/events", "event_read", params.EventListParams, events.list_),
        _route("GET", "/v1/events/ID", "event_read", params.EventRetrieveParams, events.retrieve),
        _route(
            "POST",
            session,
            "checkout_session_write",
            checkout_params.SessionCreateParams,
            sessions.create,
        ),
        _route(
            "GET",
            session,
            "checkout_session_read",
            checkout_params.SessionListParams,
            sessions.list_,
        ),
        _route(
            "GET",
            session + "/ID",
            "checkout_session_read",
            checkout_params.SessionRetrieveParams,
            sessions.retrieve,
        ),
        _route(
            "POST",
            session + "/ID/expire",
            "checkout_session_write",
            checkout_params.SessionExpireParams,
            sessions.expire,
        ),
        _route(
            "GET",
            "/v1/payment_intents/ID",
            "payment_intent_read",
            params.PaymentIntentRetrieveParams,
            checkout.retrieve_intent,
        ),
        _route(
            "GET",
            "/v1/charges/ID",
            "charge_read",
            params.ChargeRetrieveParams,
            checkout.retrieve_charge,
        ),
        _route("GET", "/v1/refunds", "charge_read", params.RefundListParams, checkout.list_refunds),
        _route("POST", "/v1/refunds", "charge_write", params.RefundCreateParams, sessions.refund),
    ]


def _v2(destinations: EventDestinations, events: Events) -> list[Route]:
    destination = "/v2/core/event_destinations"
    # In the dashboard "Webhook Endpoints and Event Destinations" are one permission.
    return [
        _route(
            "POST",
            destination,
            "webhook_write",
            core_params.EventDestinationCreateParams,
            destinations.create,
        ),
        _route("GET", destination, "webhook_read", _DestinationPage, destinations.list_),
        _route(
            "GET",
            destination + "/ID",
            "webhook_read",
            core_params.EventDestinationRetrieveParams,
            destinations.retrieve,
        ),
        _route(
            "POST",
            destination + "/ID",
            "webhook_write",
            core_params.EventDestinationUpdateParams,
            destinations.update,
        ),
        _route("DELETE", destination + "/ID", "webhook_write", _Nothing, destinations.delete),
        _route("POST", destination + "/ID/enable", "webhook_write", _Nothing, destinations.enable),
        _route(
            "POST", destination + "/ID/disable", "webhook_write", _Nothing, destinations.disable
        ),
        _route("POST", destination + "/ID/ping", "webhook_write", _Nothing, events.ping),
        _route("GET", "/v2/core/events", "event_read", _EventPage, events.list_thin),
        _route("GET", "/v2/core/events/ID", "event_read", _Nothing, events.retrieve_thin),
    ]


def _route(
    method: str, path: str, permission: str, shape: Any, operation: Callable[..., Any]
) -> Route:
    return Route(method, re.compile(path.replace("ID", r"([^/]+)")), permission, shape, operation)
