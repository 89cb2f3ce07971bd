"""An update of the stack under load: new credentials of the database, the old ones refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from local.cloud import LocalCloud
from local.servers.mariadb import DatabaseAddress
from local.servers.shop_database import ThrowawayDatabase
from local.shop import Order, Shop
from local.waiting import wait_for
from tests.e2e.traffic import Traffic

pytestmark = pytest.mark.xdist_group("e2e")

ROUNDS = 20
"""Of traffic, beside each change."""


class Administrator:
    """Of the database: has given the functions one user after the other."""

    def __init__(self, cloud: LocalCloud) -> None:
        assert isinstance(cloud.database, ThrowawayDatabase)
        self._server = cloud.database.server
        self.first: DatabaseAddress = cloud.database.address

    def execute(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with closing(self._server.admin_connection()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def create_user(self, name: str, password: str) -> DatabaseAddress:
        self.execute(f"CREATE OR REPLACE USER {name} IDENTIFIED BY %s", password)
        self.execute(f"GRANT ALL ON {self.first.name}.* TO {name}")
        return replace(self.first, user=name, password=password)

    def refuse_the_first(self) -> None:
        """Its password no longer fits, and nobody stays connected with it."""
        self.execute(f"SET PASSWORD FOR {self.first.user} = PASSWORD(%s)", "no longer this")
        self.execute(f"KILL USER {self.first.user}")

    def take_the_first_back(self) -> None:
        self.execute(f"SET PASSWORD FOR {self.first.user} = PASSWORD(%s)", self.first.password)


@pytest.fixture
def administrator(cloud: LocalCloud) -> Iterator[Administrator]:
    administrator = Administrator(cloud)
    yield administrator
    administrator.take_the_first_back()


def settled_or_held(cloud: LocalCloud, shop: Shop, orders: list[Order]) -> bool | None:
    """Whether every event is either committed or in the failure queue, none on its way."""
    held = cloud.operator.waiting(cloud.addresses.on_failure_queue_url)
    unpaid = [order for order in orders if shop.state(order).status != "paid"]
    return True if len(unpaid) == held else None


def status_of(cloud: LocalCloud, event: dict[str, Any]) -> int:
    """The status of a post that is repeated, as by Stripe, while the stage throttles."""
    return wait_for(
        lambda: status if (status := cloud.stripe.post(event).status) != 429 else None,
        "the stage to let the event through",
    )


def test_update_loses_and_doubles_no_payment(
    cloud: LocalCloud, administrator: Administrator
) -> None:
    second = administrator.create_user("cachao_2", "a second password")
    with Traffic(cloud.shop, cloud.stripe) as traffic:
        traffic.wait_for_rounds(ROUNDS)
        cloud.deploy({"DbUser": second.user, "DbPassword": second.password})
        shop = traffic.shop = Shop(second)
        traffic.wait_for_rounds(ROUNDS)
        administrator.refuse_the_first()
        traffic.wait_until_settled()
        traffic.wait_for_rounds(ROUNDS)
    statuses = {answer.status for _, answer in traffic.posted}
    again = {status_of(cloud, event) for _, event in traffic.not_acknowledged()}
    wait_for(
        lambda: settled_or_held(cloud, shop, traffic.published),
        "every event to be settled or held",
    )
    redriven = cloud.operator.redrive()

    orders = [*traffic.published, *(order for (order, _), _ in traffic.posted)]
    states = [shop.state(order) for order in orders]
    # 429: a quick machine posts more than the stage lets through. Like 503, no acknowledgement.
    assert statuses <= {200, 429, 503}
    assert again <= {200}
    assert redriven.returncode == 0, redriven.stderr
    assert {(s.status, s.sold, s.used, s.settlements) for s in states} == {("paid", 2, 1, 1)}
    assert cloud.operator.waiting(cloud.addresses.on_failure_queue_url) == 0
    assert cloud.operator.waiting(cloud.addresses.delivery_dlq_url) == 0
