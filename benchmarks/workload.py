"""What is measured on: a shop full of orders, and the events that pay for them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from benchmarks import ROOT
from local.servers.mariadb import MariaDBServer
from local.shop import Shop
from settlement.adapters.migrations import migrate
from settlement.bootstrap import open_database
from settlement.configuration import DatabaseSettings, read_database_settings
from settlement.domain.clock import Deadline

Json = dict[str, Any]

USER, PASSWORD = "cachao", "benchmark"
AMOUNT, CURRENCY = 5000, "eur"
HOT_TICKET = 1
SPREAD_TICKETS = 1000
DISCOUNTED_ONE_IN = 4
DISCOUNT_CODES = 50
ENVELOPE = ROOT / "tests" / "events" / "eventbridge_partner.json"

# What a server with a gigabyte to spare is given; the durability is MariaDB's default.
SERVER_OPTIONS: dict[str, str | int] = {
    "innodb_buffer_pool_size": "1G",
    "innodb_log_file_size": "512M",
    "max_connections": 500,
}


class Workload(Shop):
    """A shop whose orders 1 to `orders` wait to be settled.

    Orders with odd numbers are for the one hot ticket, the others are spread over a thousand. Of
    either, one order in four carries a discount code, one of fifty. The first `history` orders were
    settled in the past.
    """

    def __init__(self, server: MariaDBServer, *, name: str, orders: int, history: int = 0) -> None:
        super().__init__(server.create_database(name, user=USER, password=PASSWORD))
        self.orders = orders
        self.history = history
        self.create_tables()
        with closing(open_database(self.settings())) as database:
            migrate(database, Deadline(60))
        for statement in self._rows():
            self.query(statement)

    def settings(self, port: int | None = None) -> DatabaseSettings:
        """How a function reaches it, through another port where a proxy stands between."""
        address = replace(self.address, port=port or self.address.port)
        return read_database_settings(address.environment())

    def _rows(self) -> Iterator[str]:
        yield f"INSERT INTO tickets (id) SELECT seq FROM seq_1_to_{HOT_TICKET + SPREAD_TICKETS}"
        yield f"INSERT INTO discount_codes (id) SELECT seq FROM seq_1_to_{DISCOUNT_CODES}"
        yield f"""
            INSERT INTO ticket_orders (id, ticket_id, discount_code_id, total_amount, status,
                                       stripe_payment_intent_id)
            SELECT seq, IF(seq % 2, {HOT_TICKET}, {HOT_TICKET} + 1 + seq % {SPREAD_TICKETS}),
                   IF(seq DIV 2 % {DISCOUNTED_ONE_IN}, NULL, 1 + seq % {DISCOUNT_CODES}),
                   {AMOUNT} / 100, IF(seq <= {self.history}, 'paid', 'pending'),
                   IF(seq <= {self.history}, CONCAT('pi_', MD5(seq)), NULL)
              FROM seq_1_to_{self.orders}"""
        if not self.history:
            return
        yield f"""
            INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                                     amount, currency, event_id, route, settled_at)
            SELECT seq, CONCAT('pi_', MD5(seq)), CONCAT('cs_live_', MD5(seq)), {HOT_TICKET}, 1,
                   {AMOUNT}, '{CURRENCY}', CONCAT('evt_', MD5(seq)), 'eventbridge',
                   UTC_TIMESTAMP(6)
              FROM seq_1_to_{self.history}"""
        yield f"""
            INSERT INTO stripe_events (event_id, type, route, api_version, outcome, processed_at)
            SELECT CONCAT('evt_', MD5(seq)), 'checkout.session.completed', 'eventbridge', NULL,
                   'settled', UTC_TIMESTAMP(6)
              FROM seq_1_to_{self.history}"""


def ticket_of(order_id: int) -> int:
    """The ticket that an order is for, by the rule that filled the table."""
    return HOT_TICKET if order_id % 2 else HOT_TICKET + 1 + order_id % SPREAD_TICKETS


class EventPrinter:
    """Prints the Stripe event that pays for an order, as EventBridge delivers it."""

    def __init__(self) -> None:
        self._envelope: Json = json.loads(ENVELOPE.read_text(encoding="utf-8"))

    def envelope(self, order_id: int) -> Json:
        """A whole `checkout.session.completed`, with ids of its own."""
        digest = hashlib.md5(str(order_id).encode(), usedforsecurity=False).hexdigest()
        event = self._envelope["detail"]
        session = {
            **event["data"]["object"],
            "id": f"cs_live_{digest}",
            "payment_intent": f"pi_{digest}",
            "amount_total": AMOUNT,
            "currency": CURRENCY,
            "metadata": {"order_id": str(order_id)},
        }
        detail = {
            **event,
            "id": f"evt_{digest}",
            "created": int(time.time()),
            "data": {"object": session},
        }
        return {**self._envelope, "detail": detail}
