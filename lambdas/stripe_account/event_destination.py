"""Stripe's event destination: what sends this account's events to EventBridge here.

"Event destinations" (Stripe API v2 reference); "Send events to Amazon EventBridge" (Stripe docs).
Creating one creates a partner event source in the AWS account; a bus of the source's name receives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stripe import StripeError

from settlement.adapters.stripe_api import is_missing
from settlement.errors import ConfigurationError
from stripe_account.aws import stack_is_rolling_back, wait_for_event_source
from stripe_account.custom_resource import UNKNOWN, Resource
from stripe_account.ownership import (
    ADOPTED,
    GENERATION,
    OWNER,
    is_adopted,
    is_nobodys,
    is_of,
    is_ours,
    mark,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stripe import StripeClient
    from stripe.v2.core import EventDestination as Destination

    from stripe_account.custom_resource import Request

PAGE: Final = 100


class EventDestination:
    """The destination of one stack, found by its owner and kept as the template wants it."""

    def __init__(self, stripe: StripeClient, *, livemode: bool) -> None:
        self.may_exist = False
        self._destinations = stripe.v2.core.event_destinations
        self._livemode = livemode

    def put(self, request: Request) -> Resource:
        """Create it, adopt one for this account and region, or bring the stack's own up to date.

        Raises:
            ConfigurationError: Stripe answers in another mode than this deployment's.
            StripeAccountError: its event source does not appear.
            StripeError: Stripe refuses.
        """
        found = self._find(request)
        destination = self._create(request) if found is None else self._update(found, request)
        if destination.livemode is not self._livemode:
            raise ConfigurationError(
                f"Stripe says livemode is {destination.livemode} for the key's objects; the "
                "deployment settles the other mode. Give it a key of its own mode"
            )
        source = _source_name(destination)
        wait_for_event_source(source)
        return Resource(destination.id, {"EventSourceName": source})

    def delete(self, request: Request) -> None:
        """Delete it, and with it its event source; leave an adopted one if the stack rolls back.

        Raises:
            StripeError: Stripe refuses.
        """
        for destination in self._to_delete(request):
            if is_adopted(_metadata(destination)) and stack_is_rolling_back(request.stack_id):
                self._destinations.update(
                    destination.id,
                    {"metadata": {OWNER: None, GENERATION: None, ADOPTED: None}},
                    {"idempotency_key": request.idempotency_key(f"release-{destination.id}")},
                )
            else:
                self._destinations.delete(
                    destination.id,
                    None,
                    {"idempotency_key": request.idempotency_key(f"delete-{destination.id}")},
                )

    def _find(self, request: Request) -> Destination | None:
        usable = [d for d in self._all() if _receives(d, request.properties)]
        generation = _generation(request.properties)
        for destination in usable:
            metadata = _metadata(destination)
            if is_ours(metadata, request) and is_of(metadata, generation):
                return destination
        if request.kind != "Create":
            return None
        return next((d for d in usable if is_nobodys(_metadata(d))), None)

    def _create(self, request: Request) -> Destination:
        wanted = request.properties
        self.may_exist = True
        return self._destinations.create(
            {
                "name": wanted["Name"],
                "description": wanted["Description"],
                "type": "amazon_eventbridge",
                "event_payload": "snapshot",
                "snapshot_api_version": wanted["ApiVersion"],
                "enabled_events": wanted["EnabledEvents"],
                "amazon_eventbridge": {
                    "aws_account_id": wanted["AwsAccountId"],
                    "aws_region": wanted["AwsRegion"],
                },
                "metadata": mark(request, generation=_generation(wanted), adopted=False),
            },
            {"idempotency_key": request.idempotency_key("create")},
        )

    def _update(self, found: Destination, request: Request) -> Destination:
        wanted, before = request.properties, _metadata(found)
        self.may_exist = True
        adopted = is_nobodys(before) or is_adopted(before)
        destination = self._destinations.update(
            found.id,
            {
                "name": wanted["Name"],
                "description": wanted["Description"],
                "enabled_events": together(wanted["EnabledEvents"], found.enabled_events, before),
                "metadata": {**mark(request, generation=_generation(wanted), adopted=adopted)},
            },
            {"idempotency_key": request.idempotency_key(f"update-{found.id}")},
        )
        if destination.status == "disabled":
            destination = self._destinations.enable(
                found.id, None, {"idempotency_key": request.idempotency_key(f"enable-{found.id}")}
            )
        return destination

    def _to_delete(self, request: Request) -> Iterable[Destination]:
        if request.physical_id == UNKNOWN:
            return [d for d in self._all() if is_ours(_metadata(d), request)]
        try:
            destination = self._destinations.retrieve(request.physical_id)
        except StripeError as error:
            if is_missing(error):
                return []
            raise
        return [destination] if is_ours(_metadata(destination), request) else []

    def _all(self) -> list[Destination]:
        return list(self._destinations.list({"limit": PAGE}).auto_paging_iter())


def _receives(destination: Destination, wanted: Mapping[str, str]) -> bool:
    """Whether it is one for our account and region whose events can still arrive there."""
    target = destination.amazon_eventbridge
    return (
        destination.type == "amazon_eventbridge"
        and destination.event_payload == "snapshot"
        and target is not None
        and target.aws_account_id == wanted["AwsAccountId"]
        and f":{wanted['AwsRegion']}:" in target.aws_event_source_arn
        # Unassociated for a week, a source is deleted for good.
        and target.aws_event_source_status != "deleted"
    )


def _generation(wanted: Mapping[str, str]) -> str:
    return str(wanted["ApiVersion"])


def _metadata(destination: Destination) -> dict[str, str]:
    return destination.metadata.to_dict() if destination.metadata else {}


def _source_name(destination: Destination) -> str:
    """`aws.partner/stripe.com/ed_…`, which is what the ARN ends in."""
    target = destination.amazon_eventbridge
    return target.aws_event_source_arn.partition("event-source/")[2] if target else ""
