"""What the ledger makes of answers that no real database can be made to give."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from settlement.adapters.ledger import MariaDBLedger
from settlement.domain.outcomes import Route
from settlement.domain.payments import Payment, Rules, read_event, read_payment
from settlement.domain.service import Delivery
from settlement.errors import LedgerUnavailable
from tests.support.events import any_paid_event
from tests.support.invocations import NOW, plenty_of_time

if TYPE_CHECKING:
    from settlement.adapters.database import Database, Row, Statement


class AnsweringDatabase:
    """Gives the rows it was made with, one a statement."""

    def __init__(self, *rows: Row) -> None:
        self._rows = list(rows)

    def run(self, _statement: Statement, _parameters: object, _deadline: object) -> Row:
        return self._rows.pop(0)


def test_an_order_that_changes_while_it_is_settled_is_left_to_the_next_delivery() -> None:
    """It could not be settled a moment ago, and by the time it is reviewed it can."""
    database = AnsweringDatabase(("not settled",), ("open", "pending 2598 eur"))
    payment = read_payment(read_event(any_paid_event(order_id=7)), Rules())
    assert isinstance(payment, Payment)
    delivery = Delivery(route=Route.WEBHOOK, received_at=NOW, deadline=plenty_of_time())

    with pytest.raises(LedgerUnavailable, match="order 7 changed while it was being settled"):
        MariaDBLedger(cast("Database", database)).settle(payment, delivery)
