"""Run by CloudFormation: Stripe's event destination of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_account.api_key import livemode, open_client, read_secret
from stripe_account.custom_resource import answer
from stripe_account.event_destination import EventDestination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.domain.clock import LambdaContext


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Create, update or delete it, and answer CloudFormation."""
    answer(event, context, _event_destination)


def _event_destination() -> EventDestination:
    return EventDestination(open_client(read_secret()), livemode=livemode())
