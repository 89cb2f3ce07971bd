"""What the shop's tables are: their names, their columns, their units and their words.

One JSON document, in the environment variable ``ORDER_TABLES``; its keys are the fields of
:class:`OrderTables` and of the classes below it. What the document leaves out has the default here,
and the defaults are the tables of the service that this was made for.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from settlement.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

OrderId = int | str
"""As the orders' id column holds it."""
AmountUnit = Literal["minor", "major"]
OrderIdKind = Literal["integer", "string"]
WhenSoldOut = Literal["settle_and_report", "hold"]

MAX_TOLERANCE_PER_TICKET = 100
MAX_STATUS_LENGTH = 64

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,63}", re.ASCII)
_CURRENCY = re.compile(r"[a-z]{3}", re.ASCII)
_STATUS = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{MAX_STATUS_LENGTH - 2}}}[\x21-\x7e])?")
_VARIABLE = "ORDER_TABLES"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersTable:
    """The table of orders, and its columns. ``None``: there is no such column."""

    table: str = "ticket_orders"
    id: str = "id"
    ticket_id: str = "ticket_id"
    quantity: str = "quantity"
    discount_code_id: str = "discount_code_id"
    """Used only where :attr:`OrderTables.discount_codes` names a table."""
    total_amount: str = "total_amount"
    status: str = "status"
    payment_intent_id: str = "stripe_payment_intent_id"
    currency: str | None = None
    """ISO 4217. ``None``: every order is in :attr:`OrderTables.currency`."""
    paid_at: str | None = None
    """Set when the order is settled, in UTC."""
    session_id: str | None = "stripe_checkout_session_id"
    """Set, when the order is settled, to the Checkout Session that paid it."""
    email: str | None = "email"
    """Set, when the order is settled, to the payer's e-mail address, if the session has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsTable:
    """The table of tickets that are sold, and its columns."""

    table: str = "tickets"
    id: str = "id"
    sold_quantity: str = "sold_quantity"
    max_quantity: str | None = "max_quantity"
    """How many there are; NULL in a row: any number. ``None``: nothing limits a sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountCodesTable:
    """The table of discount codes, and its columns."""

    table: str = "discount_codes"
    id: str = "id"
    used_count: str = "used_count"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusWords:
    """What an order's status is called. Every other word means: closed, not to be settled."""

    open: str = "pending"
    processing: str = "processing"
    """An asynchronous payment is awaited."""
    payment_failed: str = "payment_failed"
    """An asynchronous payment failed; another may yet succeed."""
    paid: str = "paid"
    refunded: tuple[str, ...] = ("refunded", "partially_refunded")
    """Paid, and paid back: a redelivery of the payment is a duplicate."""
    held: str | None = None
    """For an order held because its ticket is sold out. ``None``: its status stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTables:
    """The shop's three tables, as settlement reads and writes them.

    Raises:
        ConfigurationError: naming each field that is wrong, with what came and what is allowed.
    """

    orders: OrdersTable = OrdersTable()
    tickets: TicketsTable = TicketsTable()
    discount_codes: DiscountCodesTable | None = DiscountCodesTable()
    """``None``: the shop has no discount codes."""
    statuses: StatusWords = StatusWords()
    amount_unit: AmountUnit = "major"
    """``minor``: an integer, 1250 for 12.50 euros. ``major``: a DECIMAL, 12.50."""
    currency: str | None = "eur"
    """ISO 4217, lower case; of every order, where no column of the orders says it."""
    amount_tolerance_per_ticket: int = 1
    """Minor units by which the payment may differ from the order's total, for each ticket of the
    order: a price rounded before and after it is multiplied gives two totals.
    """
    order_id: OrderIdKind = "integer"
    """``integer``: 1 to 2^63 - 1. ``string``: up to 64 printable ASCII characters, a UUID say; the
    ids of tickets and discount codes are of the same kind.
    """
    when_sold_out: WhenSoldOut = "settle_and_report"
    """``settle_and_report``: the money is there, so the order is settled, and an anomaly tells a
    person. ``hold``: it is not settled, and an anomaly tells a person.
    """

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ConfigurationError(f"{_VARIABLE}: " + "; ".join(problems))

    @classmethod
    def parse(cls, document: str) -> OrderTables:
        """Read the JSON document.

        Raises:
            ConfigurationError: naming each field that is wrong, with what came and what is allowed.
        """
        try:
            value = json.loads(document)
        except (ValueError, RecursionError):
            value = None
        parts: dict[str, type] = {
            "orders": OrdersTable,
            "tickets": TicketsTable,
            "discount_codes": DiscountCodesTable,
            "statuses": StatusWords,
        }
        values = _checked_keys(cls, value, "the document")
        for name, part in parts.items():
            if values.get(name) is not None:
                values[name] = part(**_checked_keys(part, values[name], name))
        return cls(**values)

    def to_json(self) -> str:
        """Return the document that :meth:`parse` reads as this value."""
        return json.dumps(asdict(self))

    def _problems(self) -> Iterator[str]:
        yield from _table_problems("orders", self.orders, OrdersTable)
        yield from _table_problems("tickets", self.tickets, TicketsTable)
        if self.discount_codes is not None:
            yield from _table_problems("discount_codes", self.discount_codes, DiscountCodesTable)
        yield from _status_problems(self.statuses)
        yield from _choice_problems("amount_unit", self.amount_unit, get_args(AmountUnit))
        yield from _choice_problems("order_id", self.order_id, get_args(OrderIdKind))
        yield from _choice_problems("when_sold_out", self.when_sold_out, get_args(WhenSoldOut))
        yield from self._currency_problems()
        tolerance: object = self.amount_tolerance_per_ticket
        if type(tolerance) is not int or not 0 <= tolerance <= MAX_TOLERANCE_PER_TICKET:
            yield (
                f"amount_tolerance_per_ticket is {_shown(tolerance)}; it must be a whole number of "
                f"minor units from 0 to {MAX_TOLERANCE_PER_TICKET}"
            )
        yield from self._sold_out_problems()

    def _currency_problems(self) -> Iterator[str]:
        if self.currency is None:
            if isinstance(self.orders, OrdersTable) and self.orders.currency is None:
                yield (
                    "currency is null and so is orders.currency; name the column, or the currency "
                    "of all orders"
                )
        elif not isinstance(self.currency, str) or not _CURRENCY.fullmatch(self.currency):
            yield f"currency is {_shown(self.currency)}; it must be three lower-case letters"

    def _sold_out_problems(self) -> Iterator[str]:
        limited = isinstance(self.tickets, TicketsTable) and self.tickets.max_quantity is not None
        if self.when_sold_out == "hold" and not limited:
            yield "when_sold_out is hold, which needs tickets.max_quantity"
        held = isinstance(self.statuses, StatusWords) and self.statuses.held is not None
        if self.when_sold_out != "hold" and held:
            yield "statuses.held is used only where when_sold_out is hold; set it to null"


def _checked_keys(kind: type, value: object, where: str) -> dict[str, Any]:
    allowed = [field.name for field in fields(kind)]
    if not isinstance(value, dict):
        raise ConfigurationError(f"{_VARIABLE}: {where} must be a JSON object")
    if unknown := sorted(set(value) - set(allowed)):
        raise ConfigurationError(
            f"{_VARIABLE}: {where} has unknown keys {', '.join(map(_shown, unknown))}; "
            f"allowed are {', '.join(allowed)}"
        )
    return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}


def _table_problems(name: str, table: object, kind: type) -> Iterator[str]:
    if not isinstance(table, kind):
        yield f"{name} must be an object"
        return
    seen: dict[str, str] = {}
    for field in fields(kind):
        value, where = getattr(table, field.name), f"{name}.{field.name}"
        if value is None and "None" in str(field.type):
            continue
        if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
            yield (
                f"{where} is {_shown(value)}; a name is a letter or _, then up to 63 letters, "
                "digits, _ or $"
            )
        elif field.name != "table":
            # MariaDB's column names are the same in any case.
            other = seen.setdefault(value.lower(), where)
            if other != where:
                yield f"{other} and {where} are the same column, {_shown(value)}"


def _status_problems(statuses: object) -> Iterator[str]:
    if not isinstance(statuses, StatusWords):
        yield "statuses must be an object"
        return
    refunded: object = statuses.refunded
    if not isinstance(refunded, tuple):
        yield f"statuses.refunded is {_shown(refunded)}; it must be a list"
        refunded = ()
    words: list[tuple[str, object]] = [
        (f"statuses.{name}", getattr(statuses, name))
        for name in ("open", "processing", "payment_failed", "paid")
    ]
    words += [("statuses.refunded", word) for word in refunded]
    if statuses.held is not None:
        words.append(("statuses.held", statuses.held))
    seen: dict[str, str] = {}
    for where, word in words:
        if not isinstance(word, str) or not _STATUS.fullmatch(word):
            yield (
                f"{where} is {_shown(word)}; a status is 1 to {MAX_STATUS_LENGTH} printable ASCII "
                "characters, without blanks around them"
            )
        elif word.lower() in seen:  # most collations take them for the same word
            yield f"{seen[word.lower()]} and {where} are the same word, {_shown(word)}"
        else:
            seen[word.lower()] = where


def _choice_problems(name: str, value: object, allowed: tuple[str, ...]) -> Iterator[str]:
    if value not in allowed:
        yield f"{name} is {_shown(value)}; allowed are {' and '.join(allowed)}"


def _shown(value: object) -> str:
    return repr(value)[:80]
