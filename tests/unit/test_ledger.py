"""What the ledger makes of answers that no real database can be made to give."""

from __future__ import annotations

from typing import cast

import pytest

from settlement.adapters.database import Database, Response, Row, Statement
from settlement.adapters.ledger import MariaDBLedger
from settlement.domain.order_tables import OrderTables
from settlement.domain.outcomes import Route
from settlement.domain.payments import Payment, Rules, read_event, read_payment
from settlement.domain.service import Delivery
from settlement.errors import LedgerUnavailable
from tests.support.events import any_paid_event
from tests.support.invocations import NOW, plenty_of_time


class AnsweringDatabase:
    """Gives the rows it was made with, one per statement."""

    def __init__(self, *rows: Row) -> None:
        self._rows = list(rows)

    def run(self, _statement: Statement, _parameters: object, _deadline: object) -> Response:
        return Response(self._rows.pop(0), 0)


def test_an_order_that_changes_while_it_is_settled_is_left_to_the_next_delivery() -> None:
    """It could not be settled a moment ago, and by the time it is reviewed it can."""
    event = any_paid_event(order_id=7)
    database = AnsweringDatabase(
        ("not settled", "", event["id"]), ("open", "pending 25.98 eur", event["id"])
    )
    payment = read_payment(read_event(event), Rules())
    assert isinstance(payment, Payment)
    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())

    with pytest.raises(LedgerUnavailable, match="order 7 changed while it was being settled"):
        MariaDBLedger(cast("Database", database), OrderTables()).settle(payment, delivery)


class SilentDatabase:
    """Says OK to every statement, having changed so many rows."""

    def __init__(self, changed: int) -> None:
        self._changed = changed
        self.closed = False

    def run(self, _statement: Statement, _parameters: object, _deadline: object) -> Response:
        return Response(None, self._changed)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("changed", [0, 1, 3])
def test_an_ok_without_the_rows_of_a_settlement_settles_nothing(changed: int) -> None:
    database = SilentDatabase(changed)
    payment = read_payment(read_event(any_paid_event(order_id=7)), Rules())
    assert isinstance(payment, Payment)
    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())

    with pytest.raises(LedgerUnavailable, match=f"confirmed {changed} changed rows"):
        MariaDBLedger(cast("Database", database), OrderTables()).settle(payment, delivery)
    assert database.closed


def test_a_row_of_another_events_settlement_settles_nothing() -> None:
    database = AnsweringDatabase(("settled, oversold", "", "evt_other"))
    payment = read_payment(read_event(any_paid_event(order_id=7)), Rules())
    assert isinstance(payment, Payment)
    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())

    with pytest.raises(LedgerUnavailable, match="belongs to another statement"):
        MariaDBLedger(cast("Database", database), OrderTables()).settle(payment, delivery)
