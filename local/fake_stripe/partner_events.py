"""Stripe as a partner of Amazon EventBridge: its event sources, and the events it puts into them.

A partner source is called like the bus it comes out of: `aws.partner/stripe.com/ed_…`. It is
pending until the customer makes a bus of that name (EventBridge User Guide, "Receiving events from
a SaaS partner"), and what is put into it before is dropped.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Protocol

from botocore.exceptions import ClientError

from local.fake_stripe.account import Json


class PartnerEvents(Protocol):
    """What Stripe does at AWS."""

    def create(self, source: str, *, account: str, region: str) -> None:
        """Create the partner event source in a customer's account.

        Raises:
            ValueError: the region is none of those it knows.
        """

    def delete(self, source: str, *, account: str) -> None:
        """Delete it. Nothing happens if it is gone."""

    def status(self, source: str) -> str:
        """Return `pending`, `active` or `deleted`."""

    def put(self, source: str, event: Json) -> None:
        """Put an event into it. Raises an exception if EventBridge did not take it."""


def entry(source: str, event: Json, region: str) -> dict[str, Any]:
    """Return a Stripe event as an entry of `PutPartnerEvents`."""
    return {
        "Source": source,
        "DetailType": event["type"],
        "Detail": json.dumps(event),
        "Resources": [source_arn(source, region)],
        "Time": event["created"],
    }


def source_arn(source: str, region: str) -> str:
    """Return the ARN of a partner event source: it names no account."""
    return f"arn:aws:events:{region}::event-source/{source}"


class EventBridge:
    """`PartnerEvents` at an (emulated) AWS, through a boto3 client for EventBridge."""

    def __init__(self, events: Any) -> None:
        self._events = events

    def create(self, source: str, *, account: str, region: str) -> None:
        """Create the partner event source. Raises ValueError for another region."""
        if region != self._events.meta.region_name:
            known = self._events.meta.region_name
            raise ValueError(f"{region} is not played; the emulated AWS has {known} only.")
        self._events.create_partner_event_source(Name=source, Account=account)

    def delete(self, source: str, *, account: str) -> None:
        """Delete the partner event source. Nothing happens if it is gone."""
        try:
            self._events.delete_partner_event_source(Name=source, Account=account)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise

    def status(self, source: str) -> str:
        """Return `pending`, `active` or `deleted`, as the customer sees it."""
        try:
            state: str = self._events.describe_event_source(Name=source)["State"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return "deleted"
        return state.lower()

    def put(self, source: str, event: Json) -> None:
        """Put an event into the source. Raises RuntimeError if EventBridge did not take it."""
        region = self._events.meta.region_name
        response = self._events.put_partner_events(Entries=[entry(source, event, region)])
        if response.get("FailedEntryCount"):
            raise RuntimeError(f"EventBridge did not take the event: {response['Entries']}")


class PartnerEventsInMemory:
    """`PartnerEvents` without an AWS: for tests of what talks to Stripe's API only."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        """Status by name."""
        self.regions: set[str] | None = None
        """Those there are; None for all."""
        self.received: list[tuple[str, Json]] = []
        """(source, event), as they came out of a bus."""
        self._lock = threading.Lock()

    def create(self, source: str, *, account: str, region: str) -> None:  # noqa: ARG002
        """Create the partner event source, pending. Raises ValueError for an unknown region."""
        if self.regions is not None and region not in self.regions:
            raise ValueError(f"There is no region {region}.")
        self.sources[source] = "pending"

    def associate(self, source: str) -> None:
        """Make it active, as creating a bus of its name does."""
        self.sources[source] = "active"

    def delete(self, source: str, *, account: str) -> None:  # noqa: ARG002
        """Delete the partner event source. Nothing happens if it is gone."""
        self.sources.pop(source, None)

    def status(self, source: str) -> str:
        """Return `pending`, `active` or `deleted`."""
        return self.sources.get(source, "deleted")

    def put(self, source: str, event: Json) -> None:
        """Keep an event in `received`, if the source is active. Raises KeyError without one."""
        if self.sources[source] == "active":
            with self._lock:
                self.received.append((source, event))
