"""Stripe's side of a stack without an API key, as a person makes it in the dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from local.checkouts import Checkouts
from local.cloud import stripe_of
from local.fake_stripe.server import StripeServer
from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from settlement.domain.payments import HANDLED_TYPES


class MadeByHand:
    """A destination and an endpoint at a mock of Stripe, which are named to a stack."""

    def __init__(self, server: StripeServer) -> None:
        types = sorted(HANDLED_TYPES)
        self._client = server.client()
        self._destination = self._client.v2.core.event_destinations.create(
            {
                "name": "by hand",
                "type": "amazon_eventbridge",
                "event_payload": "snapshot",
                "enabled_events": types,
                "amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": REGION},
            }
        )
        # Before the stack there is no URL, and the stack is deployed with the endpoint's secret.
        self._endpoint = self._client.v1.webhook_endpoints.create(
            {"url": "https://example.com/not-yet", "enabled_events": types}  # type: ignore[typeddict-item]
        )
        self.event_source = f"aws.partner/stripe.com/{self._destination.id}"
        self.signing_secret = str(self._endpoint.secret)
        self.checkouts = Checkouts(server.url, server.account.test_key)

    def point_at(self, webhook_url: str) -> None:
        """Enter the URL that the stack has put out."""
        self._client.v1.webhook_endpoints.update(self._endpoint.id, {"url": webhook_url})

    def delete(self) -> None:
        """Delete the destination, and its event source with it."""
        self._client.v2.core.event_destinations.delete(self._destination.id)


@contextmanager
def made_by_hand(aws: EmulatedAWS) -> Iterator[MadeByHand]:
    """Both, at a mock of their own."""
    with stripe_of(aws) as server:
        made = MadeByHand(server)
        yield made
        made.delete()
