"""The shop of the local cloud, the tests and the benchmarks: its tables, and orders to settle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pymysql

from local.servers.mariadb import DatabaseAddress
from local.waiting import wait_for

_SCHEMA: Final = Path(__file__).with_name("service_schema.sql")
_ORDER: Final = """
    SELECT {order_id}, {ticket}, {discount_code}, {quantity}, {amount}, {currency}
      FROM {orders} WHERE {order_id} = %s"""
_STATE: Final = """
    SELECT o.{status}, o.{payment_intent}, t.{sold}, d.{used}, COUNT(s.order_id), MAX(s.route)
      FROM {orders} o
      LEFT JOIN {tickets} t ON t.{ticket_id} = o.{ticket}
      LEFT JOIN {discount_codes} d ON d.{discount_code_id} = o.{discount_code}
      LEFT JOIN settlements s ON s.order_id = o.{order_id}
     WHERE o.{order_id} = %s GROUP BY o.{order_id}"""


class ShopError(RuntimeError):
    """The shop's database does not hold what was asked for."""


@dataclass(frozen=True, kw_only=True)
class ShopTables:
    """What the shop's tables and their columns are called: the shape of the shop as one value."""

    schema: Path = _SCHEMA
    """The statements that create them, each ended by a semicolon and a line break."""
    orders: str = "ticket_orders"
    order_id: str = "id"
    status: str = "status"
    ticket: str = "ticket_id"
    quantity: str = "quantity"
    discount_code: str = "discount_code_id"
    amount: str = "total_amount"
    currency: str = "currency"
    payment_intent: str = "stripe_payment_intent_id"
    tickets: str = "tickets"
    ticket_id: str = "id"
    sold: str = "sold_quantity"
    discount_codes: str = "discount_codes"
    discount_code_id: str = "id"
    used: str = "used_count"


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as the shop wrote it."""

    id: int
    ticket_id: int
    discount_code_id: int | None
    quantity: int
    amount: int
    """In the currency's minor unit."""
    currency: str


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """What settlement changes, as it stands now."""

    status: str
    payment_intent: str | None
    sold: int | None
    """Of the order's ticket; None without the ticket."""
    used: int | None
    """Uses of its discount code; None without one."""
    settlements: int
    route: str | None
    """By which the settlement came; None without one."""


class Shop:
    """One database with the shop's tables.

    Each question is a connection of its own, so that the server may come and go, and threads ask
    at the same time.
    """

    def __init__(self, address: DatabaseAddress, *, tables: ShopTables | None = None) -> None:
        """
        Args:
            address: of the database, and its user.
            tables: their shape; the service's own unless given.
        """
        self.address: Final = address
        self.tables: Final = tables or ShopTables()

    def connect(self) -> pymysql.Connection[Any]:
        """Open an autocommit connection."""
        return self.address.connect()

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def value(self, statement: str, *parameters: object) -> Any:
        """Return the one value of one statement."""
        [[value]] = self.query(statement, *parameters)
        return value

    def insert(self, table: str, **columns: object) -> int:
        """Add a row; return the number it was given."""
        names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - from code
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, tuple(columns.values()))
            return int(cursor.lastrowid)

    def create_tables(self) -> None:
        """Create the shop's tables, unless they exist."""
        if self.query("SHOW TABLES LIKE %s", self.tables.orders):
            return
        script = self.tables.schema.read_text(encoding="utf-8")
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in filter(str.strip, re.split(r";\n", script)):
                cursor.execute(statement)

    def clear(self, also: Sequence[str] = ()) -> None:
        """Empty the shop's tables, which costs a tenth of making them, and those named as well."""
        tables = self.tables
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for table in (tables.orders, tables.tickets, tables.discount_codes, *also):
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - from code

    def add_ticket(self) -> int:
        """Add a ticket, of which none is sold; return its number."""
        return self.insert(self.tables.tickets, **{self.tables.sold: 0})

    def add_discount_code(self) -> int:
        """Add a discount code that nobody has used; return its number."""
        return self.insert(self.tables.discount_codes, **{self.tables.used: 0})

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
        """Add an order.

        Args:
            status: as the shop would have it before the payment.
            quantity: how many tickets.
            amount: the order's total, in the currency's minor unit.
            currency: ISO 4217, lower case.
            ticket_id: what is ordered; a new ticket unless given.
            discount_code_id: its discount code; a new one unless given.
            discounted: whether it has a discount code at all.
            payment_intent_id: of an order that was paid.
        """
        tables = self.tables
        if ticket_id is None:
            ticket_id = self.add_ticket()
        if discounted and discount_code_id is None:
            discount_code_id = self.add_discount_code()
        columns = {
            tables.status: status,
            tables.ticket: ticket_id,
            tables.quantity: quantity,
            tables.discount_code: discount_code_id,
            tables.amount: amount,
            tables.currency: currency,
            tables.payment_intent: payment_intent_id,
        }
        return self.order(self.insert(tables.orders, **columns))

    def order(self, order_id: int) -> Order:
        """Return the order of that number.

        Raises:
            ShopError: there is none.
        """
        rows = self.query(_ORDER.format_map(asdict(self.tables)), order_id)
        if not rows:
            known = self.query("SELECT {order_id} FROM {orders}".format_map(asdict(self.tables)))
            numbers = ", ".join(str(number) for (number,) in known)
            raise ShopError(f"There is no order {order_id}. The orders are {numbers or 'none'}.")
        [(number, ticket_id, code_id, quantity, amount, currency)] = rows
        return Order(
            id=number,
            ticket_id=ticket_id,
            discount_code_id=code_id,
            quantity=quantity,
            amount=amount,
            currency=currency,
        )

    def state(self, order: Order) -> OrderState:
        """Return what has become of the order."""
        [(status, payment_intent, sold, used, settlements, route)] = self.query(
            _STATE.format_map(asdict(self.tables)), order.id
        )
        return OrderState(
            status=status,
            payment_intent=payment_intent,
            sold=sold,
            used=used,
            settlements=settlements,
            route=route,
        )

    def anomalies(self, order: Order | None = None) -> list[tuple[str, str]]:
        """Return (kind, session) of each anomaly, of one order or of all, the oldest first."""
        rows = self.query("SELECT kind, session_id, order_id FROM payment_anomalies ORDER BY id")
        return [(kind, session) for kind, session, of in rows if order is None or of == order.id]

    def wait_until(self, order: Order, status: str, *, seconds: float = 60.0) -> OrderState:
        """Return the order's state, once it has that status.

        Raises:
            WaitedInVain: it did not get there within `seconds`.
        """
        return wait_for(
            lambda: state if (state := self.state(order)).status == status else None,
            f"order {order.id} to be {status}",
            seconds=seconds,
        )
