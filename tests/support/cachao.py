"""The service's database as the tests see it: orders to settle, and what came of them."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from local.mariadb import load_service_schema
from settlement.adapters.database import Database, FixedCredentials
from settlement.adapters.ledger import MariaDBLedger
from settlement.adapters.migrations import migrate
from settlement.configuration import DatabaseSettings
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Route
from settlement.domain.payments import Rules
from settlement.domain.service import Delivery, Parts, handle_stripe_event
from tests.support.events import any_paid_event

if TYPE_CHECKING:
    from collections.abc import Callable

    import pymysql

    from local.mariadb import MariaDBServer
    from settlement.adapters.database import Credentials
    from settlement.domain.outcomes import Result

USER, PASSWORD = "cachao", "a-test-password"
TABLES = (
    "ticket_orders",
    "tickets",
    "discount_codes",
    "settlements",
    "stripe_events",
    "payment_anomalies",
)
_names = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Order:
    """A row of ticket_orders that a test made."""

    id: int
    ticket_id: int
    discount_code_id: int | None
    quantity: int
    amount: int
    currency: str


class Cachao:
    """One database with the service's tables and ours, and everything a test asks of it."""

    def __init__(self, server: MariaDBServer, *, migrated: bool = True) -> None:
        self.server = server
        self.name = f"cachao_{next(_names)}"
        server.create_database(self.name, user=USER, password=PASSWORD)
        self.admin = self.admin_connection()
        load_service_schema(self.admin)
        if migrated:
            with closing(self.database()) as database:
                migrate(database, Deadline(60))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.admin.close()

    def settings(self, *, port: int | None = None, host: str | None = None) -> DatabaseSettings:
        return DatabaseSettings(
            host=host or self.server.host,
            port=port or self.server.port,
            name=self.name,
            user=USER,
            password=PASSWORD,
            secret_arn=None,
            ca_file=None,
        )

    def database(
        self,
        *,
        port: int | None = None,
        credentials: Credentials | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Database:
        """What a function holds: a connection of the service's user, made when first asked."""
        return Database(
            self.settings(port=port),
            credentials or FixedCredentials(USER, PASSWORD),
            sleep=sleep,
            monotonic=monotonic,
        )

    def admin_connection(self) -> pymysql.Connection[Any]:
        connection = self.server.admin_connection()
        connection.select_db(self.name)
        return connection

    def reconnect_admin(self) -> None:
        """After the server was down."""
        self.admin = self.admin_connection()

    def clear(self) -> None:
        """Empty the tables, which costs a tenth of making them."""
        for table in TABLES:
            self.query(f"DELETE FROM {table}")

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.admin.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def value(self, statement: str, *parameters: object) -> Any:
        [[value]] = self.query(statement, *parameters)
        return value

    def wait_for_lock(self, waiting: int = 1) -> list[int]:
        """The ids of the service's connections that are in a query, once so many wait for a lock.

        The status variable is counted as it happens; INFORMATION_SCHEMA.INNODB_TRX is a cache that
        is never renewed while it is asked more than ten times a second.
        """
        waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
        with closing(self.admin_connection()) as connection, connection.cursor() as cursor:
            for _ in range(100_000):
                cursor.execute(waits)
                if int(cursor.fetchall()[0][1]) >= waiting:
                    break
            else:
                raise AssertionError(f"never were {waiting} connections waiting for a lock")
            cursor.execute(
                "SELECT ID FROM information_schema.PROCESSLIST "
                "WHERE USER = %s AND DB = %s AND COMMAND = 'Query'",
                (USER, self.name),
            )
            return [int(row[0]) for row in cursor.fetchall()]

    def insert(self, table: str, **columns: object) -> int:
        names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
        with self.admin.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(columns.values())
            )
            return int(cursor.lastrowid)

    def add_order(
        self,
        *,
        status: str = "pending",
        quantity: int = 2,
        amount: int = 5000,
        currency: str = "eur",
        ticket_id: int | None = None,
        discount_code_id: int | None = None,
        discounted: bool = True,
        payment_intent_id: str | None = None,
    ) -> Order:
        """An order of a ticket (a new one unless it is named), with a discount code."""
        if ticket_id is None:
            ticket_id = self.insert("tickets", name="any")
        if discounted and discount_code_id is None:
            discount_code_id = self.insert("discount_codes", code=None)
        order_id = self.insert(
            "ticket_orders",
            status=status,
            ticket_id=ticket_id,
            quantity=quantity,
            discount_code_id=discount_code_id,
            total_amount=amount,
            currency=currency,
            stripe_payment_intent_id=payment_intent_id,
        )
        return Order(
            id=order_id,
            ticket_id=ticket_id,
            discount_code_id=discount_code_id,
            quantity=quantity,
            amount=amount,
            currency=currency,
        )

    def status(self, order: Order) -> str:
        return str(self.value("SELECT status FROM ticket_orders WHERE id = %s", order.id))

    def counters(self, order: Order) -> tuple[int, int | None]:
        """(sold_quantity of its ticket, used_count of its discount code)."""
        sold = self.value("SELECT sold_quantity FROM tickets WHERE id = %s", order.ticket_id)
        if order.discount_code_id is None:
            return sold, None
        code = order.discount_code_id
        return sold, self.value("SELECT used_count FROM discount_codes WHERE id = %s", code)

    def settlements(self, order: Order) -> int:
        return int(self.value("SELECT COUNT(*) FROM settlements WHERE order_id = %s", order.id))

    def anomalies(self) -> list[tuple[str, str]]:
        return [
            (kind, session)
            for kind, session in self.query(
                "SELECT kind, session_id FROM payment_anomalies ORDER BY id"
            )
        ]


class Holder:
    """Another client that holds the ticket's row, so that a settlement waits inside."""

    def __init__(self, cachao: Cachao, order: Order) -> None:
        self.connection = cachao.admin_connection()
        self.connection.begin()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT * FROM tickets WHERE id = %s FOR UPDATE", (order.ticket_id,))

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
) -> Result:
    """Hand one plain Stripe event to the service, as either route does."""
    delivery = Delivery(
        route=route, received_at=received_at or datetime.now(UTC), deadline=Deadline(seconds)
    )
    parts = Parts(ledger=MariaDBLedger(database), rules=rules or Rules())
    return handle_stripe_event(lambda: event, delivery, lambda: parts)


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
