"""The shop of the local cloud, the tests and the benchmarks: its tables, and orders to settle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pymysql

from local.servers.mariadb import DatabaseAddress
from local.waiting import wait_for

_SCHEMA: Final = Path(__file__).with_name("service_schema.sql")
_ORDER: Final = """
    SELECT {order_id}, {ticket}, {discount_code}, {quantity}, {amount}, {currency}
      FROM {orders} WHERE {order_id} = %s"""
_STATE: Final = """
    SELECT o.{status}, o.{payment_intent}, t.{sold}, {used}, COUNT(s.order_id), MAX(s.route)
      FROM {orders} o
      JOIN {tickets} t ON t.{ticket_id} = o.{ticket} {join}
      LEFT JOIN settlements s ON s.order_id = %s
     WHERE o.{order_id} = %s"""
_JOIN: Final = """
      LEFT JOIN {discount_codes} d ON d.{discount_code_id} = o.{discount_code}"""


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
    discount_code: str | None = "discount_code_id"
    amount: str = "total_amount"
    currency: str | None = None
    """None: every order is in euros."""
    payment_intent: str = "stripe_payment_intent_id"
    session: str | None = "stripe_checkout_session_id"
    email: str | None = "email"
    paid_at: str | None = None
    tickets: str = "tickets"
    ticket_id: str = "id"
    sold: str = "sold_quantity"
    limit: str = "max_quantity"
    discount_codes: str | None = "discount_codes"
    discount_code_id: str = "id"
    used: str = "used_count"
    open: str = "pending"
    """The status of an order that waits for its payment."""
    in_major_units: bool = True
    """Whether an order's total is 12.50 rather than 1250."""
    string_ids: bool = False
    """Whether ids are UUIDs."""

    def names(self) -> dict[str, str]:
        """Return the tables and columns as SQL; NULL for those there are not."""
        return {
            name: "NULL" if value is None else f"`{value}`"
            for name, value in asdict(self).items()
            if value is None or isinstance(value, str)
        }


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as the shop wrote it."""

    id: int | str
    ticket_id: int | str
    discount_code_id: int | str | None
    quantity: int
    amount: int
    """In the currency's minor unit."""
    currency: str


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """What settlement changes, as it stands now."""

    status: str
    payment_intent: str | None
    sold: int
    """Of the order's ticket."""
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
        names, places = ", ".join(f"`{name}`" for name in columns), ", ".join(["%s"] * len(columns))
        statement = f"INSERT INTO `{table}` ({names}) VALUES ({places})"  # noqa: S608 - from code
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
                if table is not None:
                    cursor.execute(f"DELETE FROM `{table}`")  # noqa: S608 - from code

    def add_ticket(self, *, limit: int | None = None) -> int | str:
        """Add a ticket, of which none is sold; return its id.

        Args:
            limit: how many there are; any number unless given.
        """
        tables = self.tables
        return self._add(tables.tickets, tables.ticket_id, {tables.sold: 0, tables.limit: limit})

    def add_discount_code(self) -> int | str | None:
        """Add a discount code that nobody has used; return its id; None in a shop without any."""
        tables = self.tables
        if tables.discount_codes is None:
            return None
        return self._add(tables.discount_codes, tables.discount_code_id, {tables.used: 0})

    def add_order(
        self,
        *,
        status: str | None = None,
        quantity: int = 2,
        amount: int = 5000,
        currency: str = "eur",
        ticket_id: int | str | None = None,
        discount_code_id: int | str | None = None,
        discounted: bool = True,
        payment_intent_id: str | None = None,
    ) -> Order:
        """Add an order.

        Args:
            status: as the shop would have it before the payment unless given.
            quantity: how many tickets.
            amount: the order's total, in the currency's minor unit.
            currency: ISO 4217, lower case; of a shop that keeps it.
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
        columns: dict[str | None, object] = {
            tables.status: status or tables.open,
            tables.ticket: ticket_id,
            tables.quantity: quantity,
            tables.discount_code: discount_code_id,
            tables.amount: Decimal(amount).scaleb(-2) if tables.in_major_units else amount,
            tables.currency: currency.upper(),
            tables.payment_intent: payment_intent_id,
        }
        return self.order(self._add(tables.orders, tables.order_id, columns))

    def order(self, order_id: int | str) -> Order:
        """Return the order of that id.

        Raises:
            ShopError: there is none.
        """
        rows = self.query(_ORDER.format_map(self.tables.names()), order_id)
        if not rows:
            known = self.query("SELECT {order_id} FROM {orders}".format_map(self.tables.names()))
            numbers = ", ".join(str(number) for (number,) in known)
            raise ShopError(f"There is no order {order_id}. The orders are {numbers or 'none'}.")
        [(number, ticket_id, code_id, quantity, amount, currency)] = rows
        return Order(
            id=number,
            ticket_id=ticket_id,
            discount_code_id=code_id,
            quantity=quantity,
            amount=int(amount.scaleb(2)) if self.tables.in_major_units else amount,
            currency="eur" if currency is None else currency.lower(),
        )

    def state(self, order: Order) -> OrderState:
        """Return what has become of the order."""
        names = self.tables.names()
        has_codes = self.tables.discount_codes is not None
        codes = {
            "used": f"d.{names['used']}" if has_codes else "NULL",
            "join": _JOIN.format_map(names) if has_codes else "",
        }
        # Our own table holds every id as a string.
        [(status, payment_intent, sold, used, settlements, route)] = self.query(
            _STATE.format_map(names | codes), str(order.id), order.id
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
        return [
            (kind, session) for kind, session, of in rows if order is None or of == str(order.id)
        ]

    def an_hour_passes(self) -> None:
        """Date back how far reconciliation has come, as far as an hour without a run leaves it."""
        self.query(
            "UPDATE reconciliation SET watermark = UTC_TIMESTAMP() - INTERVAL 1 HOUR "
            "WHERE mode = 'test' AND watermark > UTC_TIMESTAMP() - INTERVAL 1 HOUR"
        )

    def _add(self, table: str, id_column: str, columns: dict[Any, object]) -> int | str:
        named = {name: value for name, value in columns.items() if name is not None}
        if not self.tables.string_ids:
            return self.insert(table, **named)
        row_id = str(uuid4())
        self.insert(table, **named, **{id_column: row_id})
        return row_id

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
