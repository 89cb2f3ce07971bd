"""What the shop's tables are: their names, their columns, their units and their words."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from stripe_settlement._validation import require_match, require_text

AmountUnit = Literal["major", "minor"]
OrderIdType = Literal["integer", "string"]
WhenSoldOut = Literal["settle_and_report", "hold"]

MAX_TOLERANCE_PER_TICKET = 100
"""Minor units. More would settle orders that were not paid in full."""

_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_$]{0,63}"
_STATUS = r"[\x21-\x7e]([\x20-\x7e]{0,62}[\x21-\x7e])?"


class _Table:
    """Checks every field of a table as a name that MariaDB takes without quotes."""

    def __post_init__(self) -> None:
        columns: dict[str, str] = {}
        for field in fields(self):  # type: ignore[arg-type]  # the subclasses are dataclasses
            value, where = getattr(self, field.name), f"{type(self).__name__}.{field.name}"
            if value is None and "None" in str(field.type):
                continue
            require_text(where, value)
            require_match(
                where, value, _IDENTIFIER, allowed="a letter or _, then up to 63 of A-Z a-z 0-9 _ $"
            )
            # A column's name is the same in any case.
            if (
                field.name != "table"
                and (other := columns.setdefault(value.lower(), where)) != where
            ):
                raise ValueError(
                    f"{other} and {where} are both {value!r}; each needs its own column."
                )


@dataclass(frozen=True, kw_only=True)
class OrdersTable(_Table):
    """The table of orders and its columns. None: there is no such column.

    Raises:
        ValueError: a name that MariaDB would not take without quotes, or two fields of one column.
    """

    table: str = "ticket_orders"
    """Its name, in the schema of the connection."""

    id: str = "id"
    """Primary key: what the checkout's metadata carries as `order_id`."""

    ticket_id: str = "ticket_id"
    """The ticket that is bought."""

    quantity: str = "quantity"
    """How many of it."""

    discount_code_id: str = "discount_code_id"
    """NULL without a discount. Used only if `OrderTables.discount_codes` names a table."""

    total_amount: str = "total_amount"
    """What has to be paid, in `OrderTables.amount_unit`."""

    status: str = "status"
    """One of the words of `StatusWords`, or any other: such an order is closed."""

    payment_intent_id: str = "stripe_payment_intent_id"
    """Set when the order is settled. NULL before, and where nothing was to be paid."""

    currency: str | None = None
    """ISO 4217, in any case. None: every order is in `OrderTables.currency`."""

    paid_at: str | None = None
    """Set when the order is settled, in UTC."""

    session_id: str | None = "stripe_checkout_session_id"
    """Set, when the order is settled, to the Checkout Session that paid it."""

    email: str | None = "email"
    """Set, when the order is settled, to the payer's address, by which the cachao service finds a
    buyer's tickets. None: the address is never read."""


@dataclass(frozen=True, kw_only=True)
class TicketsTable(_Table):
    """The table of what is sold, and its columns.

    Raises:
        ValueError: a name that MariaDB would not take without quotes, or two fields of one column.
    """

    table: str = "tickets"
    """Its name."""

    id: str = "id"
    """Primary key, what an order's `ticket_id` holds."""

    sold_quantity: str = "sold_quantity"
    """Raised by the order's quantity. Must not be NULL."""

    max_quantity: str | None = "max_quantity"
    """How many there are; NULL in a row: any number. None: nothing limits a sale."""


@dataclass(frozen=True, kw_only=True)
class DiscountCodesTable(_Table):
    """The table of discount codes, and its columns.

    Raises:
        ValueError: a name that MariaDB would not take without quotes, or two fields of one column.
    """

    table: str = "discount_codes"
    """Its name."""

    id: str = "id"
    """Primary key, what an order's `discount_code_id` holds."""

    used_count: str = "used_count"
    """Raised by one. Must not be NULL."""


@dataclass(frozen=True, kw_only=True)
class StatusWords:
    """What an order's status is called. Every other word means: closed, not to be settled.

    Raises:
        ValueError: two states with one word, or a word that is no printable ASCII.
    """

    open: str = "pending"
    """Waits for its payment."""

    processing: str = "processing"
    """An asynchronous payment, a bank debit say, has been started and not yet arrived."""

    payment_failed: str = "payment_failed"
    """An asynchronous payment failed. Another may yet succeed, and settles the order."""

    paid: str = "paid"
    """Settled."""

    refunded: tuple[str, ...] = ("refunded", "partially_refunded")
    """Paid, and paid back: a redelivery of that payment is a duplicate."""

    held: str | None = None
    """For an order held because its ticket is sold out. None: its status stays as it is."""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for where, word in self._words():
            require_text(f"StatusWords.{where}", word)
            require_match(
                f"StatusWords.{where}",
                word,
                _STATUS,
                allowed="1 to 64 printable ASCII characters, without blanks around them",
            )
            # Most collations take them for the same word.
            if (other := seen.setdefault(word.lower(), where)) != where:
                raise ValueError(
                    f"StatusWords.{other} and {where} are both {word!r}; each needs its own word."
                )

    def _words(self) -> list[tuple[str, str]]:
        if not isinstance(self.refunded, tuple):
            raise TypeError(
                f"StatusWords.refunded is {self.refunded!r}; allowed is a tuple of words."
            )
        words = [(name, getattr(self, name)) for name in ("open", "processing", "payment_failed")]
        words += [("paid", self.paid)]
        words += [(f"refunded[{index}]", word) for index, word in enumerate(self.refunded)]
        return words if self.held is None else [*words, ("held", self.held)]


@dataclass(frozen=True, kw_only=True)
class OrderTables:
    """The shop's three tables, as settlement reads and writes them.

    `OrderTables()` is the tables of the cachao service. Every deployment checks the real database
    against this value, and fails with the list of all that does not fit.

    Raises:
        ValueError: a combination that would settle nothing, or settle wrongly.
    """

    orders: OrdersTable = OrdersTable()
    """Who owes what."""

    tickets: TicketsTable = TicketsTable()
    """What is counted as sold."""

    discount_codes: DiscountCodesTable | None = DiscountCodesTable()
    """What is counted as used; None if the shop has no discount codes."""

    statuses: StatusWords = StatusWords()
    """The words of the order's status."""

    amount_unit: AmountUnit = "major"
    """`major`: a DECIMAL such as 12.50. `minor`: an integer such as 1250, as Stripe counts."""

    currency: str | None = "eur"
    """ISO 4217, lower case, of every order where no column says it. None needs such a column."""

    amount_tolerance_per_ticket: int = 1
    """Minor units by which a payment may differ from the order's total, for each ticket of the
    order: a price that is rounded before it is multiplied gives another total than one that is
    rounded after."""

    order_id: OrderIdType = "integer"
    """`integer`: 1 to 2^63 - 1. `string`: up to 64 printable ASCII characters, a UUID say."""

    when_sold_out: WhenSoldOut = "settle_and_report"
    """Two buyers of the last ticket can both pay. `settle_and_report`: the money is there, so both
    are settled and the anomaly `oversold` notifies the operator. `hold`: the second is not settled,
    which the same anomaly reports."""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("amount_unit", self.amount_unit, AmountUnit),
            ("order_id", self.order_id, OrderIdType),
            ("when_sold_out", self.when_sold_out, WhenSoldOut),
        ):
            if value not in get_args(choices):
                raise ValueError(
                    f"{name} is {value!r}; allowed is {' or '.join(map(repr, get_args(choices)))}."
                )
        self._check_parts()
        self._check_currency()
        tolerance: object = self.amount_tolerance_per_ticket
        if type(tolerance) is not int or not 0 <= tolerance <= MAX_TOLERANCE_PER_TICKET:
            raise ValueError(
                f"amount_tolerance_per_ticket is {tolerance!r}; allowed is a whole number of minor "
                f"units from 0 to {MAX_TOLERANCE_PER_TICKET}."
            )
        if self.when_sold_out == "hold" and self.tickets.max_quantity is None:
            raise ValueError(
                "when_sold_out is 'hold' and TicketsTable.max_quantity is None; to know what is "
                "sold out, name the column that holds the limit."
            )
        if self.when_sold_out != "hold" and self.statuses.held is not None:
            raise ValueError(
                f"StatusWords.held is {self.statuses.held!r} and when_sold_out is "
                f"{self.when_sold_out!r}; orders are held only with when_sold_out='hold'."
            )

    def to_json(self) -> str:
        """Return the document that the functions read from their variable `ORDER_TABLES`."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def _check_parts(self) -> None:
        for name, kind in (
            ("orders", OrdersTable),
            ("tickets", TicketsTable),
            ("discount_codes", DiscountCodesTable),
            ("statuses", StatusWords),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (name == "discount_codes" and value is None):
                raise TypeError(f"{name} is {value!r}; allowed is a {kind.__name__}.")

    def _check_currency(self) -> None:
        if self.currency is None and self.orders.currency is None:
            raise ValueError(
                "currency and OrdersTable.currency are both None; name the column that holds an "
                "order's currency, or the currency of all orders."
            )
        if self.currency is not None and not re.fullmatch(r"[a-z]{3}", str(self.currency)):
            raise ValueError(
                f"currency is {self.currency!r}; allowed is three lower-case letters, ISO 4217."
            )
