"""The shop's side of the local cloud: tickets, discount codes and orders."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import pymysql

from local.mariadb import load_service_schema
from local.waiting import wait_for


class BoxOfficeError(RuntimeError):
    """The shop's database does not hold what was asked for."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where the shop's database is, and how to get in."""

    host: str
    port: int
    name: str
    user: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """A row of `ticket_orders`, as the shop wrote it."""

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
    sold: int
    """`sold_quantity` of the order's ticket."""
    used: int | None
    """`used_count` of its discount code; None without one."""
    settlements: int
    route: str | None
    """By which the settlement came; None without one."""


class BoxOffice:
    """The shop. Each question is a connection of its own, so that the server may come and go."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address: Final = address

    def open(self) -> None:
        """Create the shop's tables, unless they exist."""
        if not self._query("SHOW TABLES LIKE 'ticket_orders'"):
            with closing(self._connect()) as connection:
                load_service_schema(connection)

    def add_order(
        self,
        *,
        amount: int = 5000,
        currency: str = "eur",
        quantity: int = 2,
        status: str = "pending",
        discounted: bool = True,
    ) -> Order:
        """An order of a new ticket, with a discount code of its own unless told otherwise.

        Args:
            amount: the order's total, in the currency's minor unit.
            currency: ISO 4217, lower case.
            quantity: how many tickets.
            status: as the shop would have it before the payment.
            discounted: whether it carries a discount code.
        """
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO tickets (name) VALUES ('Local cloud')")
            ticket_id = int(cursor.lastrowid)
            code_id = None
            if discounted:
                cursor.execute("INSERT INTO discount_codes (code) VALUES (NULL)")
                code_id = int(cursor.lastrowid)
            cursor.execute(
                "INSERT INTO ticket_orders "
                "(status, ticket_id, quantity, discount_code_id, total_amount, currency) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (status, ticket_id, quantity, code_id, amount, currency),
            )
            order_id = int(cursor.lastrowid)
        return self.order(order_id)

    def order(self, order_id: int) -> Order:
        """The order of that number.

        Raises:
            BoxOfficeError: there is none.
        """
        rows = self._query(
            "SELECT id, ticket_id, discount_code_id, quantity, total_amount, currency "
            "FROM ticket_orders WHERE id = %s",
            order_id,
        )
        if not rows:
            known = [str(number) for (number,) in self._query("SELECT id FROM ticket_orders")]
            raise BoxOfficeError(
                f"There is no order {order_id}. The orders are {', '.join(known) or 'none'}."
            )
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
        """What has become of the order."""
        [(status, payment_intent, sold, used, settlements, route)] = self._query(
            "SELECT o.status, o.stripe_payment_intent_id, t.sold_quantity, d.used_count, "
            "       (SELECT COUNT(*) FROM settlements s WHERE s.order_id = o.id), "
            "       (SELECT s.route FROM settlements s WHERE s.order_id = o.id) "
            "FROM ticket_orders o JOIN tickets t ON t.id = o.ticket_id "
            "LEFT JOIN discount_codes d ON d.id = o.discount_code_id WHERE o.id = %s",
            order.id,
        )
        return OrderState(
            status=status,
            payment_intent=payment_intent,
            sold=sold,
            used=used,
            settlements=settlements,
            route=route,
        )

    def anomalies(self) -> list[tuple[str, int | None]]:
        """(kind, order number) of every payment that waits for a person, the oldest first."""
        rows = self._query("SELECT kind, order_id FROM payment_anomalies ORDER BY id")
        return [(kind, order_id) for kind, order_id in rows]

    def wait_until(self, order: Order, status: str, *, seconds: float = 60.0) -> OrderState:
        """The order's state, once it has that status.

        Raises:
            WaitedInVain: it did not get there within `seconds`.
        """
        return wait_for(
            lambda: state if (state := self.state(order)).status == status else None,
            f"order {order.id} to be {status}",
            seconds=seconds,
        )

    def _query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def _connect(self) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=self.address.host,
            port=self.address.port,
            user=self.address.user,
            password=self.address.password,
            database=self.address.name,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
            read_timeout=30,
            write_timeout=30,
        )
