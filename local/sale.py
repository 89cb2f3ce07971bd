"""An on-sale in the local cloud: everybody pays for one ticket at once, and not all goes well.

Paid orders are put on the bus as fast as it takes them. Some events come twice, some are paid with
a wrong amount, some are no events that can be read, and in the middle the database restarts.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from local.fake_stripe.account import Json
from local.fake_stripe.partner_events import entry
from local.fake_stripe.server import StripeServer
from local.servers.emulated_aws import REGION, EmulatedAWS
from local.servers.shop_database import ShopDatabase
from local.shop import Shop
from local.waiting import wait_for

AMOUNT, CURRENCY = 5000, "eur"
WRONG_AMOUNT: Final = AMOUNT - 100
WRONG: Final = "amount_mismatch"
ENTRIES: Final = 10
"""Events of one call of `PutPartnerEvents`."""
RETRY_SECONDS: Final = 5
"""What a message that failed waits in the queue, six minutes by default: nobody watches that."""


@dataclass(frozen=True, kw_only=True)
class Sale:
    """How much is sold, and how much of it goes wrong."""

    orders: int
    """Paid as they should be."""
    duplicates: int
    """Events of them that come a second time."""
    wrong_amounts: int
    """Orders besides, which are paid with a wrong amount."""
    poison: int
    """Events that nothing can be read from."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where it is played: a stack in on-sale mode, by its outputs."""

    aws: EmulatedAWS
    shop: Shop
    database: ShopDatabase
    stripe: StripeServer
    outputs: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of it."""

    sale: Sale
    ticket: int
    put_at: dict[str, datetime] = field(repr=False)
    """Id of an event: when it was put on the bus, the first time."""
    put_seconds: float
    """What it took to put all of them on it."""
    paid: int
    settlements: int
    sold: int
    """Tickets, of which every order has one."""
    anomalies: Counter[str]
    """Of the sale's orders, by kind."""
    dead: int
    """Messages in the on-sale queue's dead-letter queue."""
    undelivered: int
    """Events in the rule's dead-letter queue."""

    def broken(self) -> list[str]:
        """Return the promises that were not kept."""
        orders = self.sale.orders
        promises = {
            "every order settles once": self.paid == self.settlements == self.sold == orders,
            "every anomaly is named": self.anomalies
            == {"amount_mismatch": self.sale.wrong_amounts},
            "the poison, and nothing else, is in the DLQ": self.dead == self.sale.poison,
            "every event is delivered": self.undelivered == 0,
        }
        return [promise for promise, kept in promises.items() if not kept]


def play(sale: Sale, stage: Stage, *, seconds: float) -> Played:
    """Sell, let it go wrong, and return once nothing is left to do.

    Args:
        sale: what is sold.
        stage: where.
        seconds: at most to wait for the queue to be empty.

    Raises:
        WaitedInVain: something was still in the queue after that.
    """
    sqs = stage.aws.client("sqs")
    sqs.set_queue_attributes(
        QueueUrl=stage.outputs["OnSaleQueueUrl"],
        Attributes={"VisibilityTimeout": str(RETRY_SECONDS)},
    )
    ticket, order_ids = _orders(stage.shop, sale.orders + sale.wrong_amounts)
    began = time.perf_counter()
    put_at = _put_all(_events(sale, stage.stripe, order_ids), stage)
    put_seconds = time.perf_counter() - began
    wait_for(
        lambda: True if _messages(sqs, stage.outputs["OnSaleQueueUrl"]) == 0 else None,
        "the on-sale queue to be empty",
        seconds=seconds,
    )
    of_ticket = "FROM settlements WHERE ticket_id = %s"
    anomalies = stage.shop.query(
        "SELECT kind, COUNT(*) FROM payment_anomalies JOIN ticket_orders AS o ON o.id = order_id "
        "WHERE o.ticket_id = %s GROUP BY kind",
        ticket,
    )
    return Played(
        sale=sale,
        ticket=ticket,
        put_at=put_at,
        put_seconds=put_seconds,
        paid=stage.shop.value(
            "SELECT COUNT(*) FROM ticket_orders WHERE ticket_id = %s AND status = 'paid'", ticket
        ),
        settlements=stage.shop.value(f"SELECT COUNT(*) {of_ticket}", ticket),
        sold=stage.shop.value("SELECT sold_quantity FROM tickets WHERE id = %s", ticket),
        anomalies=Counter({str(kind): int(count) for kind, count in anomalies}),
        dead=_messages(sqs, stage.outputs["OnSaleDlqUrl"]),
        undelivered=_messages(sqs, stage.outputs["StripeEventDlqUrl"]),
    )


def _orders(shop: Shop, count: int) -> tuple[int, Sequence[int]]:
    """Add a ticket and so many orders of it."""
    ticket = int(shop.add_ticket())
    shop.query(
        "INSERT INTO ticket_orders (ticket_id, total_amount) "
        "SELECT %s, %s FROM seq_1_to_100000 LIMIT %s",
        *(ticket, AMOUNT / 100, count),
    )
    found = shop.query("SELECT id FROM ticket_orders WHERE ticket_id = %s ORDER BY id", ticket)
    return ticket, [int(order_id) for (order_id,) in found]


def _events(sale: Sale, stripe: StripeServer, order_ids: Sequence[int]) -> list[Json]:
    """Return the events in the order in which they come."""
    events = [
        stripe.create_paid_checkout(
            amount=AMOUNT if number < sale.orders else WRONG_AMOUNT,
            currency=CURRENCY,
            metadata={"order_id": str(order_id)},
            deliver=False,
        )
        for number, order_id in enumerate(order_ids)
    ]
    chance = random.Random(10_000)  # noqa: S311 - the same sale each time
    again = chance.sample(events[: sale.orders], sale.duplicates)
    poison = [{**event, "id": None} for event in events[: sale.poison]]
    mixed = [*events, *again, *poison]
    chance.shuffle(mixed)
    return mixed


def _put_all(events: Sequence[Json], stage: Stage) -> dict[str, datetime]:
    """Put them on the bus; when half are on it, the database restarts. Return when each was."""
    client, source = stage.aws.client("events"), stage.outputs["EventBusName"]
    put_at: dict[str, datetime] = {}
    restart = None
    with ThreadPoolExecutor(1) as aside:
        for start in range(0, len(events), ENTRIES):
            some = events[start : start + ENTRIES]
            if restart is None and start >= len(events) // 2:
                restart = aside.submit(_restart, stage.database)
            now = datetime.now(UTC)
            response = client.put_partner_events(
                Entries=[entry(source, event, REGION) for event in some]
            )
            if response.get("FailedEntryCount"):
                raise RuntimeError(f"EventBridge did not take {response['Entries']}")
            for event in some:
                put_at.setdefault(str(event["id"]), now)
        if restart is not None:
            restart.result()
    return put_at


def _restart(database: ShopDatabase) -> None:
    database.stop()
    database.start()


def _messages(sqs: Any, url: str) -> int:
    """How many wait or are in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)
