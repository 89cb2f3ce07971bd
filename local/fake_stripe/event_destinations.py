"""`/v2/core/event_destinations`, to Amazon EventBridge and to webhooks.

Creating one for EventBridge creates Stripe's partner event source in the AWS account, deleting it
deletes the source, and losing the source at AWS disables the destination. Sources: Stripe API
reference, "Event Destinations"; Stripe docs, "Send events to Amazon EventBridge".
"""

from __future__ import annotations

import re
from typing import Any, Final, get_args

import stripe
from stripe.events._event_classes import get_v2_event_class

from local.fake_stripe.account import (
    API_VERSION,
    Json,
    Mode,
    merge_metadata,
    new_id,
    new_secret,
    timestamp,
)
from local.fake_stripe.errors import ApiError, invalid_fields, missing
from local.fake_stripe.pagination import v2_page
from local.fake_stripe.parameters import Parameters
from local.fake_stripe.partner_events import PartnerEvents, source_arn
from local.fake_stripe.webhook_endpoints import url_problem

_URL: Final = "/v2/core/event_destinations"
_SOURCES: Final = "aws.partner/stripe.com/"
_SNAPSHOT_TYPES: Final = frozenset(get_args(stripe.Event.__annotations__["type"]))
PING: Final = "v2.core.event_destination.ping"


class EventDestinations:
    """The destinations' operations; `partner_events` is Stripe's side at AWS."""

    def __init__(self, partner_events: PartnerEvents) -> None:
        self._partner_events = partner_events

    def create(self, mode: Mode, parameters: Parameters) -> Json:
        """Create a destination, and for EventBridge its partner event source."""
        _check(parameters, livemode=mode.livemode)
        now = timestamp()
        snapshot = parameters["event_payload"] == "snapshot"
        version = parameters.get("snapshot_api_version", API_VERSION) if snapshot else None
        destination = {
            "id": new_id(f"ed_{mode.test}6"),
            "object": "v2.core.event_destination",
            "amazon_eventbridge": None,
            "azure_event_grid": None,
            "created": now,
            "description": parameters.get("description", ""),
            "enabled_events": parameters["enabled_events"],
            "event_payload": parameters["event_payload"],
            "events_from": parameters.get("events_from", ["@self"]),
            "livemode": mode.livemode,
            "metadata": merge_metadata({}, parameters.get("metadata")),
            "name": parameters["name"],
            "snapshot_api_version": version,
            "status": "enabled",
            "status_details": None,
            "type": parameters["type"],
            "updated": now,
            "webhook_endpoint": None,
        }
        if parameters["type"] == "amazon_eventbridge":
            self._create_source(destination, parameters["amazon_eventbridge"])
        else:
            destination["webhook_endpoint"] = parameters["webhook_endpoint"]
            mode.secrets[destination["id"]] = [new_secret()]
        mode.destinations[destination["id"]] = destination
        return self._shown(mode, destination, parameters.get("include", []))

    def retrieve(self, mode: Mode, parameters: Parameters, id_: str) -> Json:
        """Return the destination, with the state that its partner event source has at AWS."""
        return self._shown(mode, self.find(mode, id_), parameters.get("include", []))

    def update(self, mode: Mode, parameters: Parameters, id_: str) -> Json:
        """Change what is given. Type, payload and AWS account stay what they were created with."""
        destination = self.find(mode, id_)
        if "enabled_events" in parameters:
            _check_events({**destination, **parameters})
        if "webhook_endpoint" in parameters:
            if destination["type"] != "webhook_endpoint":
                raise invalid_fields("webhook_endpoint", "Not a webhook endpoint destination.")
            _check_webhook(parameters, livemode=mode.livemode)
        for name in ("description", "enabled_events", "name", "webhook_endpoint"):
            destination[name] = parameters.get(name, destination[name])
        if changes := parameters.get("metadata"):
            destination["metadata"] = merge_metadata(destination["metadata"], changes)
        destination["updated"] = timestamp()
        return self._shown(mode, destination, parameters.get("include", []))

    def delete(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Delete the destination and its partner event source."""
        destination = self.find(mode, id_)
        if place := destination["amazon_eventbridge"]:
            self._partner_events.delete(source_name(destination), account=place["aws_account_id"])
        del mode.destinations[id_]
        mode.secrets.pop(id_, None)
        return {"id": id_, "object": "v2.core.event_destination"}

    def list_(self, mode: Mode, parameters: Parameters) -> Json:
        """Return a page of the destinations, the newest first."""
        page = v2_page(list(mode.destinations.values())[::-1], parameters, url=_URL)
        include = parameters.get("include", [])
        return {**page, "data": [self._shown(mode, each, include) for each in page["data"]]}

    def enable(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Resume deliveries."""
        destination = self.find(mode, id_)
        destination.update(status="enabled", status_details=None, updated=timestamp())
        return self._shown(mode, destination, [])

    def disable(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Stop deliveries."""
        _disable(self.find(mode, id_), "user")
        return self._shown(mode, self.find(mode, id_), [])

    def find(self, mode: Mode, id_: str) -> Json:
        """Return the destination as it is kept. Raises ApiError, a 404, if there is none."""
        if id_ not in mode.destinations:
            raise missing("v2.core.event_destination", id_, version="v2")
        return mode.destinations[id_]

    def _create_source(self, destination: Json, place: dict[str, str]) -> None:
        source = _SOURCES + destination["id"]
        account, region = place["aws_account_id"], place["aws_region"]
        try:
            self._partner_events.create(source, account=account, region=region)
        except ValueError as error:
            raise invalid_fields("amazon_eventbridge.aws_region", str(error)) from None
        destination["amazon_eventbridge"] = {
            "aws_account_id": account,
            "aws_event_source_arn": source_arn(source, region),
            "aws_event_source_status": "pending",
        }

    def _shown(self, mode: Mode, destination: Json, include: list[str]) -> Json:
        """Return the destination as an answer: what it has on demand is null unless asked for."""
        shown: dict[str, Any] = {}
        if place := destination["amazon_eventbridge"]:
            place["aws_event_source_status"] = self._partner_events.status(source_name(destination))
            if place["aws_event_source_status"] == "deleted" and destination["status"] == "enabled":
                _disable(destination, "no_aws_event_source_exists")
        if endpoint := destination["webhook_endpoint"]:
            secret = mode.secrets[destination["id"]][-1].value
            shown["webhook_endpoint"] = {
                "signing_secret": (
                    secret if "webhook_endpoint.signing_secret" in include else None
                ),
                "url": endpoint["url"] if "webhook_endpoint.url" in include else None,
            }
        return {**destination, **shown}


def source_name(destination: Json) -> str:
    """Return the name of a destination's partner event source, which is its bus's as well."""
    return _SOURCES + str(destination["id"])


def _disable(destination: Json, reason: str) -> None:
    destination.update(
        status="disabled", status_details={"disabled": {"reason": reason}}, updated=timestamp()
    )


def _check(parameters: Parameters, *, livemode: bool) -> None:
    kind = parameters["type"]
    if kind == "azure_event_grid":
        raise ApiError(400, "local/fake_stripe has no Azure.", code="invalid_fields")
    for other in ("amazon_eventbridge", "azure_event_grid", "webhook_endpoint"):
        if (other in parameters) != (other == kind):
            problem = "This field is required" if other == kind else "Not allowed"
            raise invalid_fields(other, f"{problem} for a destination of type {kind}.")
    if parameters["event_payload"] == "thin" and "snapshot_api_version" in parameters:
        raise invalid_fields("snapshot_api_version", "Not allowed for thin events.")
    _check_events(parameters)
    if kind == "webhook_endpoint":
        _check_webhook(parameters, livemode=livemode)
    else:
        _check_place(parameters["amazon_eventbridge"])


def _check_place(place: dict[str, str]) -> None:
    if not re.fullmatch(r"\d{12}", place["aws_account_id"]):
        raise invalid_fields("amazon_eventbridge.aws_account_id", "Not 12 digits.")
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", place["aws_region"]):
        raise invalid_fields("amazon_eventbridge.aws_region", "Not a region of AWS.")


def _check_webhook(parameters: Parameters, *, livemode: bool) -> None:
    if problem := url_problem(parameters["webhook_endpoint"]["url"], livemode=livemode):
        raise invalid_fields("webhook_endpoint.url", problem)


def _check_events(parameters: Parameters) -> None:
    """Snapshots have the types of v1's events; thin events those of v2, or v1's behind `v1.`."""
    if not parameters["enabled_events"]:
        raise invalid_fields("enabled_events", "At least one event is required.")
    for index, type_ in enumerate(parameters["enabled_events"]):
        if parameters["event_payload"] == "snapshot":
            known = type_ == "*" or type_ in _SNAPSHOT_TYPES
        else:
            known = type_ == "*" or get_v2_event_class(type_) is not stripe.StripeObject
        if not known:
            payload = parameters["event_payload"]
            raise invalid_fields(
                f"enabled_events[{index}]", f"'{type_}' is no {payload} event type."
            )
