"""From the old service to this one, as docs/moving-from-the-old-service.md says, under traffic."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest
from aws_cdk import RemovalPolicy

from local.cloud import local_webhook_url
from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.servers.cdk import REPOSITORY, CdkCli
from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from local.servers.shop_database import ThrowawayDatabase
from local.shop import Order, Shop
from local.waiting import wait_for
from stacks.environments import Environment
from tests.e2e.account import synthesise
from tests.e2e.conftest import TIMING
from tests.e2e.old_service import page
from tests.e2e.old_service import stack as old_service
from tests.support.waiting import join

pytestmark = pytest.mark.xdist_group("cutover")

NEW_STACK = "cachao-payments-cutover"
ROUNDS = 5
"""Of traffic, in each phase."""
PAUSE_SECONDS = 0.2
"""Between two rounds: what is collected during a deployment has to be settled afterwards."""
FIND, CORRECT = page.blocks("4. Correct the counters", "sql")


class Place:
    """An account at AWS, one at Stripe and a database, in which the old service runs."""

    def __init__(self, resources: ExitStack, directory: Path) -> None:
        self._directory = directory
        self.database = ThrowawayDatabase()
        resources.callback(self.database.close)
        self.database.start()
        self.shop = Shop(self.database.address)
        self.shop.create_tables()
        self.aws = resources.enter_context(EmulatedAWS(timing=TIMING))
        self.stripe = resources.enter_context(
            StripeServer(
                partner_events=EventBridge(self.aws.client("events")),
                resolve_url=lambda url: local_webhook_url(self.aws.endpoint, url),
            )
        )
        for name, module in (
            ("aws", "tests.support.aws_cli"),
            ("stripe-settlement", "stripe_settlement_cli"),
        ):
            program = directory / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            program.chmod(0o755)
        CdkCli(self.aws.environment(), directory=directory).bootstrap(ACCOUNT, REGION)
        self.old_destination = self.destination("old")
        assembly = directory / "old"
        old_service.synthesise(
            assembly, event_source=self.source(self.old_destination), database=self.database.address
        )
        outputs = self.cdk(assembly).deploy(old_service.NAME, {})
        self.old_endpoint, _ = self.endpoint(outputs["WebhookUrl"])

    def cdk(self, assembly: Path) -> CdkCli:
        return CdkCli(self.aws.environment(), directory=assembly, assembly=assembly)

    def destination(self, name: str) -> str:
        """A new event destination, as deploying.md creates it. Return its id."""
        created = self.stripe.client().v2.core.event_destinations.create(
            {
                "name": name,
                "type": "amazon_eventbridge",
                "event_payload": "snapshot",
                "snapshot_api_version": "2026-10-28.endive",
                "enabled_events": ["checkout.session.completed"],
                "amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": REGION},
            }
        )
        return created.id

    def source(self, destination: str) -> str:
        return f"aws.partner/stripe.com/{destination}"

    def endpoint(self, url: str) -> tuple[str, str]:
        """A new webhook endpoint. Return its id and its signing secret."""
        created = self.stripe.client().v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["checkout.session.completed"]}
        )
        assert created.secret
        return created.id, created.secret

    def follow(self, *commands: str, endpoint: str | None = None) -> str:
        """Run what the page says, after its names. Return what it prints.

        Args:
            *commands: blocks of it.
            endpoint: this service's at Stripe, for the names of the way back.
        """
        [block] = page.blocks("1. Names", "sh")
        known = page.named(
            block,
            OLD_STACK=old_service.NAME,
            OLD_BUS=self.source(self.old_destination),
            OLD_ENDPOINT=self.old_endpoint,
            STACK=NEW_STACK,
        )
        if endpoint is not None:
            known += page.named(page.blocks("The way back", "sh")[0], ENDPOINT=endpoint)
        script = "\n".join([known, *commands]).replace("https://api.stripe.com", self.stripe.url)
        path = os.pathsep.join((str(self._directory / "bin"), os.environ["PATH"]))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._directory,
            env={
                **self.aws.environment(),
                "PATH": path,
                "PYTHONPATH": str(REPOSITORY),
                "STRIPE_SECRET_KEY": self.stripe.account.test_key,
                "STRIPE_API_BASE": self.stripe.url,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start_the_old_service(self) -> None:
        self.follow(page.blocks("The way back", "sh")[2])

    def differing(self) -> set[tuple[str, int]]:
        """The counters that the page's query finds."""
        [statement] = page.statements(FIND)
        return {(counter, number) for counter, number, *_ in self.shop.query(statement)}

    def correct(self) -> None:
        with self.shop.connect() as connection, connection.cursor() as cursor:
            for statement in page.statements(CORRECT):
                cursor.execute(statement)


class NewStack:
    """This service in the place: deployed once paused and once not, as the page says."""

    def __init__(self, place: Place, directory: Path) -> None:
        self._place = place
        self._directory = directory
        self.destination = place.destination("new")
        self._secret = "whsec_not_known_yet"
        self.endpoint = ""
        self.outputs: dict[str, str] = {}

    def deploy(self, *, paused: bool) -> None:
        environment = Environment(
            name="cutover",
            livemode=False,
            resource_prefix="cachao-payments",
            event_source_name=self._place.source(self.destination),
            database_tls=False,
            reserved_concurrency=0 if paused else 10,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._assembly = self._directory / f"new-{paused}"
        assert synthesise(environment, self._assembly) == NEW_STACK
        database = self._place.database.address
        self.outputs = self._place.cdk(self._assembly).deploy(
            NEW_STACK,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
                "StripeSecretKey": "sk_test_new",
                "StripeWebhookSecret": self._secret,
            },
        )

    def register(self) -> None:
        """Create the webhook endpoint; the next deployment has its secret."""
        self.endpoint, self._secret = self._place.endpoint(self.outputs["WebhookUrl"])

    def collected(self) -> int:
        """How many events wait in the on-failure queue."""
        url = self.outputs["StripeEventBridgeHandlerOnFailureQueueUrl"]
        attribute = "ApproximateNumberOfMessages"
        answer = self._place.aws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=[attribute]
        )
        return int(answer["Attributes"][attribute])

    def close(self) -> None:
        client = self._place.stripe.client()
        if self.endpoint:
            client.v1.webhook_endpoints.delete(self.endpoint)
        if self.outputs:
            self._place.cdk(self._assembly).destroy(NEW_STACK)
        client.v2.core.event_destinations.delete(self.destination)


class Buyers:
    """In a `with` block: every round pays two orders, each with a ticket and a code of its own.

    Stripe delivers each to all that is registered, but for one of the old service's routes: by
    both of them the old service counts every payment twice on its own.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ending = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="buyers")
        self.orders: list[Order] = []
        """Paid, and delivered to whoever was registered."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        join(self._thread, "the buyers")
        if self._error is not None:
            raise self._error

    def wait_for_rounds(self, count: int = ROUNDS) -> list[Order]:
        """Return the orders of so many more rounds, which begin after the one under way."""
        begun = len(self.orders) + 2
        until = begun + 2 * count
        wait_for(
            lambda: len(self.orders) >= until or not self._thread.is_alive() or None,
            f"{count} rounds of payments",
            seconds=180,
        )
        return self.orders[begun:until]

    def _run(self) -> None:
        try:
            while not self._ending.wait(PAUSE_SECONDS):
                for left_out in (self._place.old_endpoint, self._place.old_destination):
                    self.orders.append(pay(self._place, left_out=left_out))
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self._error = error


def pay(place: Place, *, left_out: str | None = None) -> Order:
    """Pay one order, and deliver it to all that is registered but for `left_out`."""
    order, event = paid(place)
    for target in place.stripe.registered():
        if target["id"] != left_out:
            place.stripe.resend(event, target=target["id"])
    return order


def paid(place: Place, *, created: int | None = None) -> tuple[Order, str]:
    """An order that is paid at Stripe, and the event, which is not delivered."""
    order = place.shop.add_order()
    event = place.stripe.create_paid_checkout(
        amount=order.amount,
        currency=order.currency,
        metadata={"order_id": str(order.id)},
        created=created,
        deliver=False,
    )
    return order, event["id"]


def wait_until_counted(place: Place, order: Order, times: int) -> None:
    """The code is what the old handler counts last, the ticket what ours does."""
    wait_for(
        lambda: counted(place, [order]) == {("paid", 2 * times, times)} or None,
        f"order {order.id} to be counted {times} times",
    )


def counted(place: Place, orders: list[Order]) -> set[tuple[str, int, int | None]]:
    """How the orders stand: the status, tickets sold, uses of the code."""
    return {
        place.shop.query(
            "SELECT o.status, t.sold_quantity, d.used_count FROM ticket_orders o "
            "JOIN tickets t ON t.id = o.ticket_id "
            "JOIN discount_codes d ON d.id = o.discount_code_id WHERE o.id = %s",
            order.id,
        )[0]
        for order in orders
    }


def settlements(place: Place) -> int:
    """How many this service has made; before its first deployment there is no table of them."""
    tables = place.shop.query("SHOW TABLES LIKE 'settlements'")
    return int(place.shop.value("SELECT COUNT(*) FROM settlements")) if tables else 0


def outcome(place: Place, event: str) -> str:
    """What came of an event here, once something has."""
    [(found,)] = wait_for(
        lambda: (
            place.shop.query("SELECT outcome FROM stripe_events WHERE event_id = %s", event) or None
        ),
        f"an outcome of {event}",
    )
    return str(found)


def wait_until_paid(place: Place, orders: list[Order]) -> None:
    statement = "SELECT COUNT(*) FROM ticket_orders WHERE status = 'paid' AND id IN %s"
    ids = [order.id for order in orders]
    wait_for(
        lambda: place.shop.value(statement, ids) == len(ids) or None,
        f"{len(ids)} orders to be paid",
        seconds=180,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as resources:
        yield Place(resources, tmp_path_factory.mktemp("cutover"))


@pytest.fixture
def new(place: Place, tmp_path: Path) -> Iterator[NewStack]:
    new = NewStack(place, tmp_path)
    yield new
    new.close()
    place.start_the_old_service()


def test_what_is_settled_here_the_old_handler_counts_again_but_not_the_other_way_round(
    place: Place, new: NewStack
) -> None:
    new.deploy(paused=False)
    ours_first, event = paid(place)
    place.stripe.resend(event, target=new.destination)
    wait_until_counted(place, ours_first, 1)
    place.stripe.resend(event, target=place.old_destination)
    wait_until_counted(place, ours_first, 2)

    theirs_first, event = paid(place)
    place.stripe.resend(event, target=place.old_destination)
    wait_until_counted(place, theirs_first, 1)
    place.stripe.resend(event, target=new.destination)

    assert outcome(place, event) == "duplicate"
    assert counted(place, [theirs_first]) == {("paid", 2, 1)}
    place.correct()


def test_cutover_under_traffic_pays_and_counts_every_order_once(
    place: Place, new: NewStack
) -> None:
    lost, _ = paid(place, created=int(time.time()) - 7200)
    settled_before = settlements(place)
    with Buyers(place) as buyers:
        buyers.wait_for_rounds()
        new.deploy(paused=True)
        buyers.wait_for_rounds()
        printed = place.follow(*page.blocks("2. Deploy this stack, paused", "sh"))
        collected = int(printed.split("\n")[-2])
        settled_while_paused = settlements(place) - settled_before

        stop, see = page.blocks("3. Stop the old consumers", "sh")
        seen = place.follow(stop, see).split("\n")
        between = buyers.wait_for_rounds()
        unsettled = counted(place, between)
        # Before the correction, which would hide what both have counted.
        differing = place.differing()
        place.correct()

        new.register()
        new.deploy(paused=False)
        place.follow(*page.blocks("5. Start this stack", "sh"))
        buyers.wait_for_rounds()
    place.stripe.wait_until_delivered(seconds=180)
    wait_until_paid(place, buyers.orders)
    place.follow(*page.blocks("6. See that nothing is missing", "sh"))

    assert collected > 0
    assert settled_while_paused == 0
    assert seen[-4:] == ["DISABLED", '"status": "disabled"', "0", ""]
    assert unsettled == {("pending", 0, 0)}
    assert differing == set()
    assert counted(place, [*buyers.orders, lost]) == {("paid", 2, 1)}
    assert place.differing() == set()
    assert new.collected() == 0
    assert place.shop.value("SELECT COUNT(*) FROM payment_anomalies") == 0


def test_way_back_under_traffic_pays_and_counts_every_order_once(
    place: Place, new: NewStack
) -> None:
    _, pause, old_on, collect_no_more, settle = page.blocks("The way back", "sh")
    new.deploy(paused=True)
    new.register()
    place.follow(*page.blocks("3. Stop the old consumers", "sh"))
    new.deploy(paused=False)
    with Buyers(place) as buyers:
        settled_here = buyers.wait_for_rounds()
        wait_until_paid(place, settled_here)
        place.follow(pause, endpoint=new.endpoint)
        between = buyers.wait_for_rounds()
        unsettled = counted(place, between)
        place.follow(old_on)
        settled_there = buyers.wait_for_rounds()
        wait_until_paid(place, settled_there)
        # Ten minutes at AWS; here an invocation's time is enough, for none of them fails.
        assert "sleep 600" in collect_no_more
        wait = 'sleep "$(timeout_of "$OLD_EVENT_FUNCTION")"'
        place.follow(collect_no_more.replace("sleep 600", wait), endpoint=new.endpoint)
        place.follow(settle, endpoint=new.endpoint)
        buyers.wait_for_rounds()
    place.stripe.wait_until_delivered(seconds=180)
    wait_until_paid(place, buyers.orders)

    assert unsettled == {("pending", 0, 0)}
    assert counted(place, buyers.orders) == {("paid", 2, 1)}
    assert place.differing() == set()
    assert new.collected() == 0


def test_query_finds_exactly_the_wrong_counters_and_the_correction_mends_them(
    place: Place,
) -> None:
    once, event = paid(place)
    place.stripe.resend(event, target=place.old_destination)
    twice, event = paid(place)
    place.stripe.resend(event, target=place.old_destination)
    place.stripe.resend(event, target=place.old_endpoint)
    place.shop.add_order()
    halfway = place.shop.add_order(status="paid")
    wait_until_counted(place, once, 1)
    wait_until_counted(place, twice, 2)

    found = place.differing()
    place.correct()

    assert found == {
        (counter, number)
        for order in (twice, halfway)
        for counter, number in (
            ("tickets", order.ticket_id),
            ("discount_codes", order.discount_code_id),
        )
    }
    assert place.differing() == set()
    assert counted(place, [once, twice, halfway]) == {("paid", 2, 1)}
