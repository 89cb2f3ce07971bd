"""A mock of Stripe for a test: `stripe_server`, an API that only Stripe's library talks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer


@pytest.fixture
def partner_events() -> PartnerEventsInMemory:
    """Stripe's side at an AWS that is not there: its sources, and what came out of their buses."""
    return PartnerEventsInMemory()


@pytest.fixture
def stripe_server(partner_events: PartnerEventsInMemory) -> Iterator[StripeServer]:
    """A mock of Stripe, empty, with retries of its deliveries after 10 ms."""
    with StripeServer(partner_events=partner_events, retry_seconds=(0.01, 0.01, 0.01)) as server:
        yield server
