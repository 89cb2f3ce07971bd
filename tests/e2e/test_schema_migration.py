"""The schema follows the database that the stack is told of, or the deployment fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from local.servers.cdk import CdkError
from local.servers.mariadb import DatabaseAddress
from local.shop import Shop
from tests.e2e.another_database import another_database

pytestmark = pytest.mark.xdist_group("e2e")


@pytest.fixture
def second(cloud: LocalCloud) -> Iterator[DatabaseAddress]:
    """Another database on the same server, with the shop's tables; the stack is told again of the
    first at the end."""
    with another_database(cloud, "second") as address:
        Shop(address).create_tables()
        yield address
        first = cloud.database.address
        cloud.deploy({"DbName": first.name, "DbPort": str(first.port)})


def stack_status(cloud: LocalCloud) -> str:
    found = cloud.aws.client("cloudformation").describe_stacks(StackName=cloud.addresses.stack)
    return str(found["Stacks"][0]["StackStatus"])


def reasons(cloud: LocalCloud) -> list[str]:
    """What CloudFormation was told of the migrations that failed, the latest first."""
    client = cloud.aws.client("cloudformation")
    events = client.describe_stack_events(StackName=cloud.addresses.stack)["StackEvents"]
    return [
        event["ResourceStatusReason"]
        for event in events
        if event["ResourceType"] == "Custom::SchemaMigration"
        and event["ResourceStatus"].endswith("FAILED")
    ]


def test_database_named_by_a_parameter_alone_gets_our_tables_and_settles(
    cloud: LocalCloud, second: DatabaseAddress
) -> None:
    cloud.deploy({"DbName": second.name})

    shop = Shop(second)
    order = shop.add_order()
    assert cloud.stripe.post(cloud.stripe.paid(order)).status == 200
    assert shop.state(order).settlements == 1


def test_database_that_does_not_answer_fails_the_deployment_which_rolls_back(
    cloud: LocalCloud, second: DatabaseAddress
) -> None:
    with pytest.raises(CdkError):
        cloud.deploy({"DbName": second.name, "DbPort": "1"})

    assert stack_status(cloud) == "UPDATE_ROLLBACK_COMPLETE"
    reason = reasons(cloud)[0]
    assert "the database gave OperationalError 2003 (CR_CONN_HOST_ERROR" in reason
    order = cloud.shop.add_order()
    assert cloud.stripe.post(cloud.stripe.paid(order)).status == 200
    assert cloud.shop.state(order).settlements == 1


def test_wrong_tables_fail_the_deployment_with_all_that_does_not_fit_until_they_are_put_right(
    cloud: LocalCloud, second: DatabaseAddress
) -> None:
    shop = Shop(second)
    shop.query("ALTER TABLE ticket_orders MODIFY total_amount BIGINT NOT NULL, DROP COLUMN email")
    shop.query("ALTER TABLE tickets ENGINE = Aria")
    shop.query("CREATE TABLE stripe_events (id INT PRIMARY KEY)")

    with pytest.raises(CdkError):
        cloud.deploy({"DbName": second.name})

    assert stack_status(cloud) == "UPDATE_ROLLBACK_COMPLETE"
    reason = reasons(cloud)[0]
    for part in (
        "there is a table stripe_events in this schema that is not the settlement's",
        "column ticket_orders.total_amount: found bigint(20) NOT NULL, needed DECIMAL",
        "column ticket_orders.email: found no such column",
        "table tickets: found engine Aria",
    ):
        assert part in reason
    shop.query("ALTER TABLE tickets ENGINE = InnoDB")
    shop.query("DROP TABLE stripe_events")
    shop.query("ALTER TABLE ticket_orders ADD COLUMN email VARCHAR(255)")
    shop.query("ALTER TABLE ticket_orders MODIFY total_amount DECIMAL(10,2) NOT NULL")
    cloud.deploy({"DbName": second.name})
    assert stack_status(cloud) == "UPDATE_COMPLETE"
