"""What a platform team can say of its tables, and that the functions read just that."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from aws_cdk import Stack

from settlement.domain import order_tables as runtime
from stripe_settlement import (
    DiscountCodesTable,
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from tests.infrastructure.synthesis import CDK_JSON, any_secret

ANOTHER_SHOP = OrderTables(
    orders=OrdersTable(
        table="Purchases",
        id="uuid",
        ticket_id="product",
        quantity="n",
        total_amount="cents",
        status="state",
        payment_intent_id="pi",
        currency="currency",
        paid_at="paid_at",
        session_id=None,
        email=None,
    ),
    tickets=TicketsTable(table="products", id="key", sold_quantity="sold", max_quantity="stock"),
    discount_codes=None,
    statuses=StatusWords(
        open="new",
        processing="debit",
        payment_failed="bounced",
        paid="complete",
        refunded=("returned",),
        held="review",
    ),
    amount_unit="minor",
    currency=None,
    amount_tolerance_per_ticket=0,
    order_id="string",
    when_sold_out="hold",
)


def test_functions_have_the_same_defaults() -> None:
    assert runtime.OrderTables.parse(OrderTables().to_json()) == runtime.OrderTables()
    assert asdict(OrderTables()) == asdict(runtime.OrderTables())


def test_functions_read_every_field_of_another_shop() -> None:
    read = runtime.OrderTables.parse(ANOTHER_SHOP.to_json())

    assert asdict(read) == asdict(ANOTHER_SHOP)


def test_document_leaves_room_for_the_other_variables() -> None:
    assert len(ANOTHER_SHOP.to_json()) < 1024  # of the 4 KB that Lambda has for all of them


WRONG: list[tuple[type, dict[str, Any], type[Exception], str]] = [
    (
        OrdersTable,
        {"table": "orders; DROP TABLE x"},
        ValueError,
        "OrdersTable.table is 'orders; DR",
    ),
    (OrdersTable, {"id": "o.id"}, ValueError, "OrdersTable.id is 'o.id'; allowed is a letter or _"),
    (OrdersTable, {"status": ""}, ValueError, "OrdersTable.status is ''"),
    (OrdersTable, {"status": None}, TypeError, "OrdersTable.status is None; allowed is a text"),
    (OrdersTable, {"email": "x" * 65}, ValueError, "OrdersTable.email is 'xxx"),
    (OrdersTable, {"id": "Status"}, ValueError, "OrdersTable.id and OrdersTable.status are both"),
    (TicketsTable, {"sold_quantity": "größe"}, ValueError, "TicketsTable.sold_quantity is"),
    (DiscountCodesTable, {"used_count": 7}, TypeError, "used_count is 7; allowed is a text"),
    (StatusWords, {"paid": "pending"}, ValueError, "StatusWords.open and paid are both 'pending'"),
    (StatusWords, {"held": "PAID"}, ValueError, "StatusWords.paid and held are both 'PAID'"),
    (StatusWords, {"open": " new"}, ValueError, "StatusWords.open is ' new'"),
    (
        StatusWords,
        {"refunded": "refunded"},
        TypeError,
        "refunded is 'refunded'; allowed is a tuple",
    ),
    (OrderTables, {"amount_unit": "cents"}, ValueError, "allowed is 'major' or 'minor'"),
    (OrderTables, {"order_id": "uuid"}, ValueError, "allowed is 'integer' or 'string'"),
    (OrderTables, {"orders": "ticket_orders"}, TypeError, "allowed is a OrdersTable"),
    (OrderTables, {"currency": None}, ValueError, "OrdersTable.currency are both None"),
    (
        OrderTables,
        {"currency": "EUR"},
        ValueError,
        "currency is 'EUR'; allowed is three lower-case",
    ),
    (OrderTables, {"amount_tolerance_per_ticket": 0.5}, ValueError, "whole number of minor units"),
    (OrderTables, {"amount_tolerance_per_ticket": -1}, ValueError, "from 0 to 100"),
    (OrderTables, {"statuses": StatusWords(held="held")}, ValueError, "when_sold_out='hold'"),
]


@pytest.mark.parametrize(
    ("kind", "values", "error", "message"),
    WRONG,
    ids=[f"{w[0].__name__} {w[1]}"[:60] for w in WRONG],
)
def test_wrong_value_says_what_came_and_what_is_allowed(
    kind: type, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        kind(**values)
    assert message in str(raised.value)


def test_holding_orders_needs_the_column_of_the_limit() -> None:
    with pytest.raises(ValueError, match="name the column that holds the limit"):
        replace(ANOTHER_SHOP, tickets=TicketsTable(max_quantity=None))


@pytest.mark.parametrize("tables", [OrderTables(), ANOTHER_SHOP], ids=["cachao", "another shop"])
def test_functions_accept_whatever_synthesis_accepts(tables: OrderTables) -> None:
    document = json.loads(tables.to_json())

    assert runtime.OrderTables.parse(json.dumps(document)).to_json()


def test_example_of_the_documentation_is_valid(stack: Stack) -> None:
    page = (CDK_JSON.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    example = page.partition("## Tables that are not cachao's")[2].partition("```python\n")[2]
    scope: dict[str, Any] = {"secret": any_secret(stack)}
    exec(example.partition("```")[0], scope)

    read = runtime.OrderTables.parse(scope["tables"].to_json())
    assert read.orders.table == "purchases"
    assert scope["database"].tables is scope["tables"]
