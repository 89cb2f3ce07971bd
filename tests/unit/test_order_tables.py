"""What the shop's tables are is one checked value; without one it is the service's own tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settlement.domain.order_tables import (
    DiscountCodesTable,
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from settlement.errors import ConfigurationError

OTHER_SHAPE = OrderTables(
    orders=OrdersTable(
        table="bookings",
        id="uuid",
        ticket_id="seat_id",
        total_amount="total_cents",
        currency="currency",
        paid_at="paid_at",
        session_id=None,
        email=None,
    ),
    tickets=TicketsTable(table="seats", max_quantity="capacity"),
    discount_codes=None,
    statuses=StatusWords(open="new", refunded=(), held="sold out"),
    amount_unit="minor",
    currency=None,
    amount_tolerance_per_ticket=0,
    order_id="string",
    when_sold_out="hold",
)


def problems(document: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        OrderTables.parse(json.dumps(document))
    assert str(error.value).startswith("ORDER_TABLES: ")
    return str(error.value)


def test_defaults_are_the_services_real_tables() -> None:
    tables = OrderTables.parse("{}")

    assert tables == OrderTables()
    assert (tables.orders.table, tables.orders.total_amount) == ("ticket_orders", "total_amount")
    assert (tables.amount_unit, tables.currency) == ("major", "eur")
    assert (tables.orders.currency, tables.orders.paid_at) == (None, None)


@pytest.mark.parametrize("tables", [OrderTables(), OTHER_SHAPE], ids=["service", "other"])
def test_document_of_a_value_is_read_as_that_value(tables: OrderTables) -> None:
    assert OrderTables.parse(tables.to_json()) == tables


def test_document_changes_only_what_it_names() -> None:
    tables = OrderTables.parse('{"orders": {"table": "bookings", "email": null}}')

    assert tables.orders == OrdersTable(table="bookings", email=None)
    assert tables.tickets == TicketsTable()
    assert tables.discount_codes == DiscountCodesTable()


@pytest.mark.parametrize("document", ["", "{", "[]", "null", '"x"', "[" * 100_000])
def test_document_that_is_no_json_object_is_an_error(document: str) -> None:
    with pytest.raises(ConfigurationError, match="the document must be a JSON object"):
        OrderTables.parse(document)


@pytest.mark.parametrize("name", ["orders", "tickets", "statuses"])
def test_part_that_is_needed_must_be_an_object(name: str) -> None:
    assert f"{name} must be an object" in problems({name: None})


@pytest.mark.parametrize("name", ["orders", "tickets", "discount_codes", "statuses"])
@pytest.mark.parametrize("value", ["x", 1, []])
def test_part_of_another_type_must_be_an_object(name: str, value: object) -> None:
    assert f"{name} must be a JSON object" in problems({name: value})


@pytest.mark.parametrize("document", [{"order": {}}, {"orders": {"name": "x"}}])
def test_unknown_key_is_named_with_those_that_are_allowed(document: dict[str, Any]) -> None:
    assert "unknown keys '" in problems(document)
    assert "allowed are " in problems(document)


@pytest.mark.parametrize(
    "name",
    ["", "1st", "a b", "a-b", "a`b", "a.b", "o\N{COMBINING DIAERESIS}", "x" * 65, "a\n", 1, None],
)
def test_name_that_is_no_identifier_is_shown_with_its_field(name: object) -> None:
    text = problems({"orders": {"table": name}, "tickets": {"id": name}})
    assert f"orders.table is {name!r}"[:60] in text
    assert "tickets.id is " in text


@pytest.mark.parametrize("name", ["a", "_", "Orders$2", "x" * 64])
def test_identifier_may_be_any_plain_name(name: str) -> None:
    assert OrderTables(orders=OrdersTable(table=name)).orders.table == name


def test_two_fields_that_name_one_column_are_an_error() -> None:
    text = problems({"orders": {"paid_at": "Status"}})
    assert "orders.status and orders.paid_at are the same column, 'Status'" in text


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("amount_unit", "cents", "minor and major"),
        ("order_id", "uuid", "integer and string"),
        ("when_sold_out", "refund", "settle_and_report and hold"),
        ("amount_tolerance_per_ticket", -1, "from 0 to 100"),
        ("amount_tolerance_per_ticket", 101, "from 0 to 100"),
        ("amount_tolerance_per_ticket", True, "from 0 to 100"),
        ("amount_tolerance_per_ticket", 1.0, "from 0 to 100"),
        ("currency", "EUR", "three lower-case letters"),
        ("currency", 978, "three lower-case letters"),
    ],
)
def test_value_that_is_not_allowed_is_shown_with_what_is(
    field: str, value: object, allowed: str
) -> None:
    text = problems({field: value})
    assert f"{field} is {value!r}" in text
    assert allowed in text


def test_currency_is_needed_where_no_column_holds_one() -> None:
    assert "currency is null and so is orders.currency" in problems({"currency": None})
    assert OrderTables(orders=OrdersTable(currency="currency"), currency=None).currency is None


@pytest.mark.parametrize("word", ["", " paid", "paid ", "x" * 65, "pay\u00e9", "a\n", 1])
def test_status_that_no_row_can_hold_is_an_error(word: object) -> None:
    assert f"statuses.paid is {word!r}" in problems({"statuses": {"paid": word}})
    assert "statuses.refunded is " in problems({"statuses": {"refunded": [word]}})


@pytest.mark.parametrize("refunded", ["refunded", None, {}])
def test_refunded_statuses_are_a_list(refunded: object) -> None:
    assert "statuses.refunded is " in problems({"statuses": {"refunded": refunded}})


def test_one_word_for_two_statuses_is_an_error() -> None:
    text = problems({"statuses": {"refunded": ["PENDING"]}})
    assert "statuses.open and statuses.refunded are the same word" in text


def test_hold_needs_a_limit() -> None:
    text = problems({"when_sold_out": "hold", "tickets": {"max_quantity": None}})
    assert "needs tickets.max_quantity" in text


def test_held_status_without_hold_is_an_error() -> None:
    assert "statuses.held is used only where" in problems({"statuses": {"held": "held"}})


def test_one_error_names_everything_that_is_wrong() -> None:
    text = problems(
        {"orders": {"id": ""}, "tickets": {"id": ""}, "currency": "", "amount_unit": ""}
    )
    assert all(
        f"{name} is ''" in text for name in ("orders.id", "tickets.id", "currency", "amount_unit")
    )
