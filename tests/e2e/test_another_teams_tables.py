"""The app on the tables of another team, as little like the service's as settlement allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.checkouts import Answer, Checkouts
from local.cloud import LocalCloud
from local.shop import OrderState, Shop
from stacks.environments import read_environment
from tests.e2e.another_database import another_database
from tests.e2e.by_hand import made_by_hand
from tests.e2e.second_stack import SecondStack
from tests.support.cachao import OTHER_TABLES

pytestmark = pytest.mark.xdist_group("e2e")

ENVIRONMENT = {
    "livemode": False,
    "resource_prefix": "bookings",
    "database_tls": False,
    "order_tables": {
        "orders": {
            "table": "Bookings$",
            "id": "uuid",
            "ticket_id": "seat",
            "quantity": "number",
            "total_amount": "total_cents",
            "status": "state",
            "payment_intent_id": "intent",
            "currency": "currency",
            "paid_at": "when",
            "session_id": None,
            "email": None,
        },
        "tickets": {
            "table": "seats",
            "id": "seat_id",
            "sold_quantity": "taken",
            "max_quantity": "capacity",
        },
        "discount_codes": None,
        "statuses": {"open": "new"},
        "amount_unit": "minor",
        "amount_tolerance_per_ticket": 0,
        "currency": None,
        "order_id": "string",
    },
}
"""As it stands in `cdk.json`: UUIDs, cents with their currency, other names, no discount codes."""


@pytest.fixture(scope="module")
def stripe_and_shop(
    cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Checkouts, Shop]]:
    """Return what pays the orders of that team's shop, and the shop; a stack settles them."""
    with made_by_hand(cloud.aws) as stripe, another_database(cloud, "bookings") as address:
        shop = Shop(address, tables=OTHER_TABLES)
        shop.create_tables()
        settings = {**ENVIRONMENT, "event_source_name": stripe.event_source}
        environment = read_environment("bookings", {"bookings": settings})
        directory = tmp_path_factory.mktemp("bookings")
        stack = SecondStack(cloud, stripe, environment, directory, database=address)
        try:
            stack.deploy()
            yield stripe.checkouts, shop
        finally:
            stack.destroy()


@pytest.fixture
def stripe(stripe_and_shop: tuple[Checkouts, Shop]) -> Checkouts:
    return stripe_and_shop[0]


@pytest.fixture
def shop(stripe_and_shop: tuple[Checkouts, Shop]) -> Shop:
    return stripe_and_shop[1]


def settled_once(state: OrderState, *, by: str) -> bool:
    """Whether it is paid, with its two seats taken once."""
    return (state.status, state.sold, state.used, state.settlements, state.route) == (
        *("paid", 2, None, 1),
        by,
    )


def test_partner_event_settles_the_order_of_another_teams_tables(
    shop: Shop, stripe: Checkouts
) -> None:
    order = shop.add_order()

    stripe.publish(stripe.paid(order))

    assert settled_once(shop.wait_until(order, "paid"), by="eventbridge")


def test_signed_request_settles_the_order_of_another_teams_tables_once(
    shop: Shop, stripe: Checkouts
) -> None:
    order = shop.add_order()
    event = stripe.paid(order)

    answers = [stripe.post(event), stripe.post(event)]

    assert answers == [
        Answer(status=200, outcome="settled"),
        Answer(status=200, outcome="duplicate"),
    ]
    assert settled_once(shop.state(order), by="webhook")


def test_cent_too_little_for_an_order_of_another_teams_tables_is_an_anomaly(
    shop: Shop, stripe: Checkouts
) -> None:
    order = shop.add_order()
    before = shop.state(order)

    answer = stripe.post(stripe.paid(order, amount=order.amount - 1))

    assert answer == Answer(status=200, outcome="anomaly")
    assert [kind for kind, _ in shop.anomalies(order)] == ["amount_mismatch"]
    assert shop.state(order) == before
