"""On-sale mode, deployed: batches, poison, and a stack that changes its mode under traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from aws_cdk import RemovalPolicy

from local.cloud import LocalCloud
from local.sale import Sale, Stage, play
from local.servers.cdk import REPOSITORY, CdkCli
from local.shop import Order
from local.waiting import wait_for
from stacks.environments import Environment
from tests.e2e.account import synthesise
from tests.e2e.by_hand import MadeByHand, made_by_hand
from tests.e2e.operator_shell import OperatorShell
from tests.e2e.traffic import Traffic
from tests.support.waiting import SECONDS

pytestmark = pytest.mark.xdist_group("e2e")

ROUNDS = 10
"""Of traffic, in each mode."""

Mode = Literal["queued", "draining"] | None


class SaleStack:
    """The service under another name, on the same database, in one mode after the other."""

    def __init__(self, cloud: LocalCloud, stripe: MadeByHand, directory: Path) -> None:
        self._cloud = cloud
        self._stripe = stripe
        self.checkouts = stripe.checkouts
        self._directory = directory
        self._sqs = cloud.aws.client("sqs")
        self.outputs: dict[str, str] = {}

    def deploy(self, mode: Mode) -> None:
        environment = Environment(
            name="sale",
            livemode=False,
            resource_prefix="sale",
            event_source_name=self._stripe.event_source,
            database_tls=False,
            on_sale=mode,
            removal_policy=RemovalPolicy.DESTROY,
        )
        directory = self._directory / str(mode)
        self._stack = synthesise(environment, directory)
        database = self._cloud.database.address
        self._cdk = CdkCli(self._cloud.aws.environment(), directory=directory, assembly=directory)
        self.outputs = self._cdk.deploy(
            self._stack,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
                "StripeSecretKey": "sk_test_sale",
                "StripeWebhookSecret": self._stripe.signing_secret,
            },
        )
        self._stripe.point_at(self.outputs["WebhookUrl"])

    def messages(self, output: str) -> int:
        """How many wait or are in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)[
            "Attributes"
        ]
        return sum(int(found[name]) for name in names)

    def wait_until_drained(self) -> None:
        wait_for(
            lambda: self.messages("OnSaleQueueUrl") == 0 or None, "the on-sale queue to be empty"
        )

    def retry_soon(self) -> None:
        """Wait a second before an attempt, not six minutes."""
        self._sqs.set_queue_attributes(
            QueueUrl=self.outputs["OnSaleQueueUrl"], Attributes={"VisibilityTimeout": "1"}
        )

    def send(self, body: str, *, output: str = "OnSaleQueueUrl") -> None:
        self._sqs.send_message(QueueUrl=self.outputs[output], MessageBody=body)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `stripe-settlement` on this stack."""
        return subprocess.run(
            [
                *(sys.executable, "-m", "stripe_settlement_cli", *arguments),
                *("--stack", self._stack),
            ],
            cwd=REPOSITORY,
            env=self._cloud.aws.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def unwell(self) -> dict[str, str]:
        """Return the checks of doctor that are not well, with the command that mends each."""
        document = json.loads(self.command("doctor", "--json").stdout)
        return {
            each["check"]: each["hint"]
            for each in document["checks"]
            if each["state"] in ("broken", "unknown")
        }

    def consume(self, *, enabled: bool) -> None:
        functions = self._cloud.aws.client("lambda")
        [mapping] = functions.list_event_source_mappings(
            FunctionName=self.outputs["StripeEventBridgeHandlerName"]
        )["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def destroy(self) -> None:
        self._cdk.destroy(self._stack)


@pytest.fixture
def sale(cloud: LocalCloud, tmp_path: Path) -> Iterator[SaleStack]:
    with made_by_hand(cloud.aws) as stripe:
        sale = SaleStack(cloud, stripe, tmp_path)
        yield sale
        sale.destroy()


def assert_settled_once(cloud: LocalCloud, orders: list[Order]) -> None:
    states = [cloud.shop.wait_until(order, "paid") for order in orders]
    assert {(s.sold, s.used, s.settlements) for s in states} == {(2, 1, 1)}


def transactions(cloud: LocalCloud, orders: list[Order]) -> int:
    """In how many the orders were settled: each has one moment."""
    return int(
        cloud.shop.value(
            "SELECT COUNT(DISTINCT settled_at) FROM settlements WHERE order_id BETWEEN %s AND %s",
            orders[0].id,
            orders[-1].id,
        )
    )


def test_waiting_events_settle_in_one_batch_and_poison_ends_in_the_dlq(
    cloud: LocalCloud, sale: SaleStack
) -> None:
    sale.deploy("queued")
    sale.retry_soon()
    orders = [cloud.shop.add_order() for _ in range(20)]
    sale.consume(enabled=False)
    sale.send("not an event")
    for order in orders:
        sale.checkouts.publish(sale.checkouts.paid(order))
    wait_for(lambda: sale.messages("OnSaleQueueUrl") == 21 or None, "all events to be in the queue")

    sale.consume(enabled=True)

    assert_settled_once(cloud, orders)
    assert transactions(cloud, orders) == 1
    wait_for(lambda: sale.messages("OnSaleDlqUrl") == 1 or None, "the poison to be in the DLQ")
    assert sale.messages("OnSaleQueueUrl") == 0


def test_doctor_sees_the_whole_chain_of_a_queued_stack_and_its_mend_mends_it(
    cloud: LocalCloud, sale: SaleStack, tmp_path: Path
) -> None:
    sale.deploy("queued")
    assert not {"rule", "target", "event_permission", "dlq_policy"} & sale.unwell().keys()
    assert not {"on_sale_mapping", "on_sale_queue"} & sale.unwell().keys()

    sale.consume(enabled=False)
    assert "on_sale_mapping" in sale.unwell()

    OperatorShell(cloud, tmp_path).run(sale.unwell()["on_sale_mapping"])

    assert "on_sale_mapping" not in sale.unwell()


def test_no_command_gives_an_all_clear_over_an_on_sale_queue_that_nothing_consumes(
    cloud: LocalCloud, sale: SaleStack, tmp_path: Path
) -> None:
    sale.deploy("queued")
    sale.consume(enabled=False)
    order = cloud.shop.add_order()
    sale.checkouts.publish(sale.checkouts.paid(order))
    wait_for(lambda: sale.messages("OnSaleQueueUrl") or None, "the event to be in the queue")

    done = sale.command("redrive", "--json")

    assert done.returncode == 1, done.stdout + done.stderr
    [line] = json.loads(done.stdout)["attention"]
    said, mend = line.split(": ", 1)
    assert "holds 1 message; the function does not consume it, its mapping is Disabled" in said
    explained = sale.command("explain", str(order.id))
    assert explained.returncode == 1, explained.stdout + explained.stderr
    assert "NOT SETTLED yet: its event may be on its way" in explained.stdout
    assert line in explained.stdout
    OperatorShell(cloud, tmp_path).run(mend)
    cloud.shop.wait_until(order, "paid")
    sale.wait_until_drained()
    assert sale.command("redrive").returncode == 0


def test_redrive_settles_what_the_on_sale_dlq_holds(cloud: LocalCloud, sale: SaleStack) -> None:
    sale.deploy("queued")
    orders = [cloud.shop.add_order() for _ in range(40)]
    for order in orders:
        event = sale.checkouts.paid(order)
        envelope = {
            "source": sale.outputs["EventBusName"],
            "detail-type": event["type"],
            "detail": event,
        }
        sale.send(json.dumps(envelope), output="OnSaleDlqUrl")

    done = sale.command("redrive")

    assert done.returncode == 0, done.stdout + done.stderr
    assert_settled_once(cloud, orders)
    assert transactions(cloud, orders) < len(orders)
    assert sale.messages("OnSaleDlqUrl") == 0


def test_a_sale_in_which_the_database_restarts_settles_every_order_once(
    cloud: LocalCloud, sale: SaleStack
) -> None:
    """With events that come twice, wrong amounts, and some that nothing can be read from."""
    sale.deploy("queued")
    stage = Stage(
        aws=cloud.aws,
        shop=cloud.shop,
        database=cloud.database,
        stripe=cloud.stripe_server,
        outputs=sale.outputs,
    )

    played = play(Sale(orders=300, duplicates=10, wrong_amounts=10, poison=10), stage, seconds=180)

    cloud.shop.query(
        "DELETE FROM payment_anomalies "
        "WHERE order_id IN (SELECT id FROM ticket_orders WHERE ticket_id = %s)",
        played.ticket,
    )
    assert played.broken() == []


def test_changing_the_mode_under_traffic_loses_nothing(cloud: LocalCloud, sale: SaleStack) -> None:
    sale.deploy(None)
    with Traffic(cloud.shop, sale.checkouts) as traffic:
        traffic.wait_for_rounds(ROUNDS)
        sale.deploy("queued")
        traffic.wait_for_rounds(ROUNDS)
        sale.deploy("draining")
        traffic.wait_for_rounds(ROUNDS)
        sale.wait_until_drained()
        sale.deploy(None)
        traffic.wait_for_rounds(ROUNDS)
    again = {sale.checkouts.post(event).status for _, event in traffic.not_acknowledged()}

    assert again <= {200}
    assert_settled_once(cloud, traffic.published)
    assert_settled_once(cloud, [order for (order, _), _ in traffic.posted])
    assert sale.messages("StripeEventDlqUrl") == 0
    assert sale.messages("StripeEventBridgeHandlerOnFailureQueueUrl") == 0
