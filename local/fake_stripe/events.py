"""Events: what happened, as a snapshot and as a thin event, kept to be read and handed to delivery.

Sources: Stripe API reference, "Events" of v1 and of v2; the library's `stripe.events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from local.fake_stripe.account import API_VERSION, Json, Mode, new_id, timestamp
from local.fake_stripe.errors import ApiError, missing
from local.fake_stripe.event_destinations import PING, EventDestinations
from local.fake_stripe.pagination import in_range, v1_page, v2_page
from local.fake_stripe.parameters import Parameters

_URLS = {
    "checkout.session": "/v1/checkout/sessions",
    "charge": "/v1/charges",
    "refund": "/v1/refunds",
}


class Events:
    """The events' operations. `deliver` is given each new event: snapshot (or None) and thin."""

    def __init__(
        self,
        deliver: Callable[[Mode, Json | None, Json], None],
        destinations: EventDestinations,
    ) -> None:
        self._deliver = deliver
        self._destinations = destinations

    def publish(
        self,
        mode: Mode,
        type_: str,
        object_: Json,
        *,
        created: int | None = None,
        deliver: bool = True,
    ) -> Json:
        """Keep an event of `object_` and hand it to delivery.

        Args:
            mode: whose event it is.
            type_: of v1, such as `checkout.session.completed`.
            object_: what it happened to; copied as it is now.
            created: epoch seconds; now unless given.
            deliver: False keeps it for `GET /v1/events` only, as if every delivery were lost.

        Returns:
            The snapshot event.
        """
        moment = int(time.time()) if created is None else created
        snapshot: Json = {
            "id": new_id("evt_"),
            "object": "event",
            "api_version": API_VERSION,
            "created": moment,
            "data": {"object": dict(object_)},
            "livemode": mode.livemode,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
        }
        related = {"id": object_["id"], "type": object_["object"]}
        related["url"] = f"{_URLS[object_['object']]}/{object_['id']}"
        thin = _thin(mode, f"v1.{type_}", related, moment)
        thin["snapshot_event"] = snapshot["id"]
        mode.events[snapshot["id"]] = snapshot
        mode.thin_events[thin["id"]] = thin
        if deliver:
            self._deliver(mode, snapshot, thin)
        return snapshot

    def ping(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Send a ping to an event destination."""
        destination = self._destinations.find(mode, id_)
        url = f"/v2/core/event_destinations/{id_}"
        related = {"id": id_, "type": destination["object"], "url": url}
        event = _thin(mode, PING, related, time.time())
        mode.thin_events[event["id"]] = event
        self._deliver(mode, None, event)
        return event

    def retrieve(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Return a snapshot event."""
        if id_ not in mode.events:
            raise missing("event", id_)
        return _with_pending(mode, mode.events[id_])

    def list_(self, mode: Mode, parameters: Parameters) -> Json:
        """Return a page of the snapshot events that match, the newest first."""
        if "type" in parameters and "types" in parameters:
            raise ApiError(400, "You may only specify one of these parameters: type, types.")
        names = parameters.get("types") or [parameters.get("type", "*")]
        if len(names) > 20:
            raise ApiError(400, "You may specify at most 20 types.", param="types")
        delivered = parameters.get("delivery_success")
        found = [
            event
            for event in _newest_first(mode.events)
            if any(fnmatchcase(event["type"], name) for name in names)
            and in_range(event["created"], parameters.get("created"))
            and delivered in (None, not mode.undelivered.get(event["id"]))
        ]
        page = v1_page(found, parameters, url="/v1/events", kind="event")
        return {**page, "data": [_with_pending(mode, event) for event in page["data"]]}

    def retrieve_thin(self, mode: Mode, _parameters: Parameters, id_: str) -> Json:
        """Return a thin event."""
        if id_ not in mode.thin_events:
            raise missing("v2.core.event", id_, version="v2")
        return mode.thin_events[id_]

    def list_thin(self, mode: Mode, parameters: Parameters) -> Json:
        """Return a page of the thin events that match, the newest first."""
        types, about = parameters.get("types"), parameters.get("object_id")
        found = [
            event
            for event in _newest_first(mode.thin_events)
            if (types is None or event["type"] in types)
            and about in (None, event["related_object"]["id"])
            and in_range(event["created"], parameters.get("created"))
        ]
        return v2_page(found, parameters, url="/v2/core/events")


def _newest_first(events: dict[str, Json]) -> list[Json]:
    """Of two events of the same moment, the one that was made later comes first."""
    return sorted(events.values(), key=lambda event: event["created"])[::-1]


def _with_pending(mode: Mode, event: Json) -> Json:
    return {**event, "pending_webhooks": len(mode.undelivered.get(event["id"], ()))}


def _thin(mode: Mode, type_: str, related: dict[str, Any], moment: float) -> Json:
    return {
        "id": new_id(f"evt_{mode.test}6"),
        "object": "v2.core.event",
        "changes": None,
        "context": None,
        "created": timestamp(moment),
        "livemode": mode.livemode,
        "reason": None,
        "related_object": related,
        "snapshot_event": None,
        "type": type_,
    }
