"""Amounts of 0, 2 and 3 decimals: Stripe's minor units against the shop's DECIMAL."""

from __future__ import annotations

from contextlib import closing

import pytest

from local.servers.mariadb import MariaDBServer
from local.shop import Order
from settlement.domain.outcomes import AnomalyKind, Outcome
from tests.support.cachao import Cachao, deliver, event_for, settle_batch

LARGEST_AMOUNT = 99_999_999  # Stripe takes eight digits.


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
@pytest.mark.parametrize(
    ("currency", "column", "total", "amount"),
    [
        ("jpy", "DECIMAL(10,0)", "1250", 1250),
        ("jpy", "DECIMAL(10,0)", "99999999", LARGEST_AMOUNT),
        ("kwd", "DECIMAL(10,3)", "12.505", 12505),
        ("kwd", "DECIMAL(10,3)", "99999.999", LARGEST_AMOUNT),
        ("eur", "DECIMAL(10,2)", "999999.99", LARGEST_AMOUNT),
        ("isk", "DECIMAL(10,0)", "1250", 125_000),
    ],
)
def test_amount_fits_to_the_minor_unit_whatever_the_currencys_decimals(
    shared_server: MariaDBServer,
    currency: str,
    column: str,
    total: str,
    amount: int,
    batch: bool,
) -> None:
    cachao = Cachao(shared_server, currency=currency, amount_tolerance_per_ticket=0)
    cachao.query(f"ALTER TABLE ticket_orders MODIFY total_amount {column} NOT NULL")
    ticket = cachao.add_ticket()
    order_id = cachao.insert(
        "ticket_orders", ticket_id=ticket, quantity=1, total_amount=total, status="pending"
    )
    order = Order(
        id=order_id,
        ticket_id=ticket,
        discount_code_id=None,
        quantity=1,
        amount=amount,
        currency=currency,
    )
    with closing(cachao.database()) as database:

        def settles(paid: int) -> bool:
            event = event_for(order, payment=str(paid), amount=paid)
            if batch:
                return order_id in settle_batch([event], database)
            result = deliver(event, database)
            assert result.anomaly in (None, AnomalyKind.AMOUNT_MISMATCH)
            return result.outcome is Outcome.SETTLED

        assert [settles(paid) for paid in (amount - 1, amount + 1, amount)] == [False, False, True]
    assert cachao.query("SELECT amount, currency FROM settlements") == [(amount, currency)]
