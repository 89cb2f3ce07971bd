"""`cdk destroy`, on a second stack in the same account and beside the first one's tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_cdk import RemovalPolicy

from local.checkouts import Answer
from local.cloud import LocalCloud
from stacks.environments import Environment
from tests.e2e.account import Resource, resources
from tests.e2e.by_hand import MadeByHand, made_by_hand
from tests.e2e.second_stack import SecondStack

pytestmark = pytest.mark.xdist_group("e2e")


def second_stack(
    cloud: LocalCloud,
    stripe: MadeByHand,
    name: str,
    removal_policy: RemovalPolicy,
    directory: Path,
) -> SecondStack:
    environment = Environment(
        name=name,
        livemode=False,
        resource_prefix=name,
        event_source_name=stripe.event_source,
        database_tls=False,
        removal_policy=removal_policy,
    )
    return SecondStack(cloud, stripe, environment, directory)


@pytest.fixture
def stripe(cloud: LocalCloud) -> Iterator[MadeByHand]:
    with made_by_hand(cloud.aws) as made:
        yield made


def life_of(stack: SecondStack, cloud: LocalCloud) -> tuple[set[Resource], set[Resource]]:
    """What a stack adds to the account, and what is left of it; it settles an order meanwhile."""
    before = resources(cloud.aws)
    stack.deploy()
    stripe = stack.stripe.checkouts
    first, second = cloud.shop.add_order(), cloud.shop.add_order()
    assert stripe.post(stripe.paid(first)) == Answer(status=200, outcome="settled")
    stripe.publish(stripe.paid(second))
    cloud.shop.wait_until(second, "paid")
    added = resources(cloud.aws) - before

    stack.destroy()

    assert [cloud.shop.state(order).settlements for order in (first, second)] == [1, 1]
    return added, resources(cloud.aws) - before


def kinds(found: set[Resource]) -> dict[str, int]:
    return {kind: sum(of == kind for of, _ in found) for kind, _ in found}


def test_destroy_leaves_the_tables_and_nothing_in_the_account(
    cloud: LocalCloud, stripe: MadeByHand, tmp_path: Path
) -> None:
    stack = second_stack(cloud, stripe, "passing", RemovalPolicy.DESTROY, tmp_path)

    added, left = life_of(stack, cloud)

    assert {"alarm", "API", "bus", "dashboard", "function", "role", "rule", "topic"} <= set(
        kinds(added)
    )
    assert left == set()


def test_destroy_keeps_messages_logs_and_secrets_where_they_are_to_be_retained(
    cloud: LocalCloud, stripe: MadeByHand, tmp_path: Path
) -> None:
    stack = second_stack(
        cloud, stripe, "lasting", RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE, tmp_path
    )

    added, left = life_of(stack, cloud)

    assert left <= added
    assert kinds(left) == {"queue": 3, "log group": 7, "secret": 3}
