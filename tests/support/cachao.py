"""The shop as the tests see it: orders to settle, what came of them, and events to deliver."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql

from local.servers.mariadb import MariaDBServer
from local.shop import Order, Shop, ShopTables
from local.waiting import wait_for
from settlement.adapters.database import (
    READ_TIMEOUT_SECONDS,
    Credentials,
    Database,
    FixedCredentials,
)
from settlement.adapters.ledger import MariaDBLedger
from settlement.adapters.migrations import migrate
from settlement.configuration import DatabaseSettings, read_database_settings
from settlement.domain.batch import handle_stripe_events
from settlement.domain.clock import Deadline
from settlement.domain.order_tables import (
    DiscountCodesTable,
    OrderId,
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from settlement.domain.outcomes import Result, Route
from settlement.domain.payments import Payment, Rules, read_event, read_payment
from settlement.domain.service import Delivery, Parts, Sessions, handle_stripe_event
from tests.support.events import any_paid_event

USER, PASSWORD = "cachao", "a-test-password"
_OURS = ("settlements", "stripe_events", "payment_anomalies")
_names = itertools.count(1)


OTHER_TABLES = ShopTables(
    schema=Path(__file__).with_name("other_schema.sql"),
    orders="Bookings$",
    order_id="uuid",
    status="state",
    ticket="seat",
    quantity="number",
    discount_code=None,
    amount="total_cents",
    currency="currency",
    payment_intent="intent",
    session=None,
    email=None,
    paid_at="when",
    tickets="seats",
    ticket_id="seat_id",
    sold="taken",
    limit="capacity",
    discount_codes=None,
    open="new",
    in_major_units=False,
    string_ids=True,
)
"""Another team's shop: as little like the service's as settlement allows."""


def order_tables_of(shop: ShopTables, **settings: Any) -> OrderTables:
    """The setting that describes a shop of this shape."""
    codes = shop.discount_codes and DiscountCodesTable(
        table=shop.discount_codes, id=shop.discount_code_id, used_count=shop.used
    )
    fields: dict[str, Any] = {
        "orders": OrdersTable(
            table=shop.orders,
            id=shop.order_id,
            ticket_id=shop.ticket,
            quantity=shop.quantity,
            discount_code_id=shop.discount_code or "none",
            total_amount=shop.amount,
            status=shop.status,
            payment_intent_id=shop.payment_intent,
            currency=shop.currency,
            paid_at=shop.paid_at,
            session_id=shop.session,
            email=shop.email,
        ),
        "tickets": TicketsTable(
            table=shop.tickets, id=shop.ticket_id, sold_quantity=shop.sold, max_quantity=shop.limit
        ),
        "discount_codes": codes or None,
        "statuses": StatusWords(open=shop.open),
        "amount_unit": "major" if shop.in_major_units else "minor",
        "currency": None if shop.currency else "eur",
        "order_id": "string" if shop.string_ids else "integer",
    }
    return OrderTables(**{**fields, **settings})


class ShopDatabase(Database):
    """What a function holds: a connection of the service's user, and the ledger over it."""

    def __init__(self, *args: Any, tables: OrderTables, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tables = tables
        self.ledger = MariaDBLedger(self, tables)


class Cachao(Shop):
    """A shop on a test's server, which may do anything there, and how the functions reach it."""

    def __init__(
        self,
        server: MariaDBServer,
        *,
        migrated: bool = True,
        tables: ShopTables | None = None,
        **settings: Any,
    ) -> None:
        """
        Args:
            server: where its database is created.
            migrated: whether our own tables are created as well.
            tables: the shape of the shop; the service's own unless given.
            settings: fields of ``OrderTables`` that the shape leaves open.
        """
        self.server = server
        self.name = f"cachao_{next(_names)}"
        address = server.create_database(self.name, user=USER, password=PASSWORD)
        super().__init__(address, tables=tables)
        self.order_tables = order_tables_of(self.tables, **settings)
        self.create_tables()
        if migrated:
            with closing(self.database()) as database:
                migrate(database, Deadline(60))

    def connect(self) -> pymysql.Connection[Any]:
        """Open a connection as root."""
        connection = self.server.admin_connection()
        connection.select_db(self.name)
        return connection

    def settings(self, *, port: int | None = None, host: str | None = None) -> DatabaseSettings:
        address = replace(
            self.address, host=host or self.address.host, port=port or self.address.port
        )
        return read_database_settings({**address.environment(), "DB_TLS": "off"})

    def database(
        self,
        *,
        port: int | None = None,
        credentials: Credentials | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        read_timeout: float = READ_TIMEOUT_SECONDS,
    ) -> ShopDatabase:
        """What a function holds: a connection of the service's user, made when first asked."""
        return ShopDatabase(
            self.settings(port=port),
            credentials or FixedCredentials(USER, PASSWORD),
            sleep=sleep,
            monotonic=monotonic,
            read_timeout=read_timeout,
            tables=self.order_tables,
        )

    def clear(self, also: Sequence[str] = _OURS) -> None:
        super().clear(also)

    def wait_for_lock(self, waiting: int = 1) -> list[int]:
        """The ids of the service's connections that are in a query, once so many wait for a lock.

        The status variable is counted as it happens; INFORMATION_SCHEMA.INNODB_TRX is a cache that
        is never renewed while it is asked more than ten times a second.
        """
        waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
        wait_for(
            lambda: True if int(self.query(waits)[0][1]) >= waiting else None,
            f"{waiting} connections to wait for a lock",
        )
        ids = self.query(
            "SELECT ID FROM information_schema.PROCESSLIST "
            "WHERE USER = %s AND DB = %s AND COMMAND = 'Query'",
            *(USER, self.name),
        )
        return [int(number) for (number,) in ids]

    def wait_for_state(self, state: str) -> None:
        """Return once a connection is in this state of SHOW PROCESSLIST."""
        count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = %s"
        wait_for(lambda: self.value(count, state) or None, f"a connection in the state {state!r}")

    def status(self, order: Order) -> str:
        return self.state(order).status

    def counters(self, order: Order) -> tuple[int | None, int | None]:
        """(sold_quantity of its ticket, used_count of its discount code)."""
        state = self.state(order)
        return state.sold, state.used

    def counted(self, sold: int, used: int) -> tuple[int, int | None]:
        """What :meth:`counters` gives for these numbers: a shop without codes counts no uses."""
        return sold, None if self.tables.discount_codes is None else used

    def shop_query(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement whose ``{names}`` are those of :meth:`ShopTables.names`."""
        return list(self.query(statement.format_map(self.tables.names()), *arguments))

    def word(self, status: str) -> str:
        """The shop's word for a status of the service's."""
        return self.tables.open if status == "pending" else status

    def settlements(self, order: Order) -> int:
        return self.state(order).settlements


class Holder:
    """Another client that holds the ticket's row, so that a settlement waits inside."""

    def __init__(self, cachao: Cachao, order: Order) -> None:
        self.connection = cachao.connect()
        self.connection.begin()
        with self.connection.cursor() as cursor:
            names = cachao.tables.names()
            cursor.execute(
                "SELECT * FROM {tickets} WHERE {ticket_id} = %s FOR UPDATE".format_map(names),
                (order.ticket_id,),
            )

    def close(self) -> None:
        if self.connection.open:
            self.connection.close()


def deliver(
    event: object,
    database: Database,
    *,
    route: Route = Route.EVENTBRIDGE,
    rules: Rules | None = None,
    seconds: float = 60,
    received_at: datetime | None = None,
    sessions: Callable[[], Sessions] | None = None,
) -> Result:
    """Hand one plain Stripe event to the service, as either route does."""
    delivery = Delivery(
        route=route, received_at=received_at or datetime.now(UTC), deadline=Deadline(seconds)
    )
    if isinstance(database, ShopDatabase):
        ledger, tables = database.ledger, database.tables
    else:
        tables = OrderTables()
        ledger = MariaDBLedger(database, tables)
    rules = replace(rules or Rules(), order_id=tables.order_id)
    parts = Parts(ledger=ledger, rules=rules, sessions=sessions)
    return handle_stripe_event(lambda: event, delivery, lambda: parts)


def deliver_batch(
    events: Sequence[object],
    database: ShopDatabase,
    *,
    seconds: float = 60,
    sessions: Callable[[], Sessions] | None = None,
) -> list[Result]:
    """Hand plain Stripe events to the service as one batch of the on-sale queue."""
    results = dict(
        deliver_each(events, database, route=Route.EVENTBRIDGE, seconds=seconds, sessions=sessions)
    )
    return [results[place] for place in range(len(events))]


def settle_batch(events: Sequence[object], database: ShopDatabase) -> set[OrderId]:
    """Give the payments of events to the ledger as one batch, and return the orders it settled.

    Unlike :func:`deliver_batch` it tries none by itself afterwards, which would hide that the batch
    settles nothing.
    """
    rules = replace(Rules(), order_id=database.tables.order_id)
    payments = [read_payment(read_event(event), rules) for event in events]
    delivery = Delivery(
        route=Route.EVENTBRIDGE, received_at=datetime.now(UTC), deadline=Deadline(60)
    )
    return database.ledger.settle_batch(
        [payment for payment in payments if isinstance(payment, Payment)], delivery
    )


def deliver_each(
    events: Sequence[object],
    database: ShopDatabase,
    *,
    route: Route,
    seconds: float = 60,
    sessions: Callable[[], Sessions] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Hand plain Stripe events to the service at once; the place and the result of each."""
    delivery = Delivery(route=route, received_at=datetime.now(UTC), deadline=Deadline(seconds))
    rules = replace(Rules(), order_id=database.tables.order_id)
    parts = Parts(ledger=database.ledger, rules=rules, sessions=sessions)
    openers = [lambda event=event: event for event in events]
    return handle_stripe_events(openers, delivery, lambda: parts)


def event_for(
    order: Order,
    *,
    payment: str = "a",
    event: str | None = None,
    type: str = "checkout.session.completed",  # noqa: A002 - Stripe's name
    payment_status: str = "paid",
    **changes: Any,
) -> dict[str, Any]:
    """The event of a session of this order: ``cs_<payment>``, paid with ``pi_<payment>``."""
    values = {
        "order_id": order.id,
        "amount": order.amount,
        "currency": order.currency,
        "payment_intent": f"pi_{payment}",
        "id": changes.pop("session", f"cs_{payment}"),
        **changes,
    }
    envelope = {"id": f"evt_{event or payment}", "type": type}
    return any_paid_event(event=envelope, payment_status=payment_status, **values)
