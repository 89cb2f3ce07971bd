"""More tickets are paid for than there are: reported, or held, and exact under races."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from local.servers.mariadb import MariaDBServer
from local.shop import Order, ShopTables
from settlement.domain.order_tables import StatusWords, TicketsTable
from settlement.domain.outcomes import AnomalyKind, Outcome, Result
from settlement.errors import StatementRefused
from tests.support.cachao import (
    OTHER_TABLES,
    Cachao,
    deliver,
    deliver_batch,
    event_for,
    settle_batch,
)

CONNECTIONS = 32
SEATS = 100
BUYERS = 1000

SHAPES = pytest.mark.parametrize(
    "tables", [None, OTHER_TABLES], ids=["the service's", "another team's"]
)


def sell(cachao: Cachao, orders: list[Order]) -> list[Result]:
    """Pay for all of them at once, over many connections."""
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(cachao.database())) for _ in range(CONNECTIONS)]
        pool = stack.enter_context(ThreadPoolExecutor(CONNECTIONS))

        def lane(number: int) -> list[Result]:
            return [
                deliver(event_for(order, payment=f"{cachao.name}_{order.id}"), databases[number])
                for order in orders[number::CONNECTIONS]
            ]

        return [result for results in pool.map(lane, range(CONNECTIONS)) for result in results]


def sell_in_batches(cachao: Cachao, orders: list[Order]) -> list[Result]:
    """Pay for all of them in batches of ten, each sharing half with the next, over four lanes."""
    events = [event_for(order, payment=f"{cachao.name}_{order.id}") for order in orders]
    batches = [events[start : start + 10] for start in range(0, len(events), 5)]
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(cachao.database())) for _ in range(4)]
        pool = stack.enter_context(ThreadPoolExecutor(4))

        def lane(number: int) -> list[Result]:
            return [
                result
                for batch in batches[number::4]
                for result in deliver_batch(batch, databases[number])
            ]

        return [result for results in pool.map(lane, range(4)) for result in results]


def is_duplicate(result: Result) -> bool:
    return result.outcome is Outcome.DUPLICATE


def on_sale(cachao: Cachao, buyers: int, seats: int) -> list[Order]:
    ticket = cachao.add_ticket(limit=seats)
    return [cachao.add_order(ticket_id=ticket, quantity=1, discounted=False) for _ in range(buyers)]


@SHAPES
def test_every_order_beyond_the_limit_is_settled_and_reported_once(
    shared_server: MariaDBServer, tables: ShopTables | None
) -> None:
    cachao = Cachao(shared_server, tables=tables)
    orders = on_sale(cachao, BUYERS, SEATS)

    results = sell(cachao, orders)

    assert Counter((result.outcome, result.anomaly) for result in results) == {
        (Outcome.SETTLED, None): SEATS,
        (Outcome.SETTLED, AnomalyKind.OVERSOLD): BUYERS - SEATS,
    }
    assert cachao.counters(orders[0])[0] == BUYERS
    assert Counter(kind for kind, _ in cachao.anomalies()) == {"oversold": BUYERS - SEATS}


@SHAPES
def test_no_order_beyond_the_limit_is_settled_where_it_is_held(
    shared_server: MariaDBServer, tables: ShopTables | None
) -> None:
    cachao = Cachao(
        shared_server,
        tables=tables,
        when_sold_out="hold",
        statuses=StatusWords(open=(tables or ShopTables()).open, held="held"),
    )
    orders = on_sale(cachao, BUYERS, SEATS)

    results = sell(cachao, orders)

    assert Counter((result.outcome, result.anomaly) for result in results) == {
        (Outcome.SETTLED, None): SEATS,
        (Outcome.ANOMALY, AnomalyKind.OVERSOLD): BUYERS - SEATS,
    }
    assert cachao.counters(orders[0])[0] == SEATS
    assert Counter(kind for kind, _ in cachao.anomalies()) == {"oversold": BUYERS - SEATS}
    assert Counter(map(cachao.status, orders)) == {"paid": SEATS, "held": BUYERS - SEATS}


@SHAPES
@pytest.mark.parametrize("when_sold_out", ["settle_and_report", "hold"])
def test_batches_that_overlap_sell_to_the_limit_and_name_every_order_beyond_it(
    shared_server: MariaDBServer, tables: ShopTables | None, when_sold_out: str
) -> None:
    cachao = Cachao(shared_server, tables=tables, when_sold_out=when_sold_out)
    orders = on_sale(cachao, 100, 30)

    results = [result for result in sell_in_batches(cachao, orders) if not is_duplicate(result)]

    oversold = Counter(result.anomaly for result in results)[AnomalyKind.OVERSOLD]
    settled = Counter(result.outcome for result in results)[Outcome.SETTLED]
    assert Counter(kind for kind, _ in cachao.anomalies()) == {"oversold": 70}
    held = when_sold_out == "hold"
    assert settled == (30 if held else 100)
    assert oversold >= 70  # held again in the other batch
    assert cachao.counters(orders[0])[0] == settled
    assert sum(cachao.settlements(order) for order in orders) == settled


@SHAPES
def test_batches_sell_without_end_where_no_column_holds_a_limit(
    shared_server: MariaDBServer, tables: ShopTables | None
) -> None:
    shape = tables or ShopTables()
    names = {"table": shape.tickets, "id": shape.ticket_id, "sold_quantity": shape.sold}
    unlimited = TicketsTable(**names, max_quantity=None)
    cachao = Cachao(shared_server, tables=tables, tickets=unlimited)
    ticket = cachao.add_ticket()
    orders = [cachao.add_order(ticket_id=ticket, quantity=1) for _ in range(20)]

    results = [result for result in sell_in_batches(cachao, orders) if not is_duplicate(result)]

    assert [(r.outcome, r.anomaly) for r in results] == [(Outcome.SETTLED, None)] * 20
    assert cachao.counters(orders[0])[0] == 20


@SHAPES
@pytest.mark.parametrize("when_sold_out", ["settle_and_report", "hold"])
def test_batch_settles_up_to_the_limit_at_once_and_beyond_it_writes_nothing(
    shared_server: MariaDBServer, tables: ShopTables | None, when_sold_out: str
) -> None:
    cachao = Cachao(shared_server, tables=tables, when_sold_out=when_sold_out)
    orders = on_sale(cachao, 9, 5)
    events = [event_for(order, payment=str(order.id)) for order in orders]
    with closing(cachao.database()) as database:
        with pytest.raises(StatementRefused, match="ticket not counted"):
            settle_batch(events[:6], database)
        assert [cachao.settlements(order) for order in orders] == [0] * 9

        assert len(settle_batch(events[:5], database)) == 5
        with pytest.raises(StatementRefused, match="ticket not counted"):
            settle_batch(events[5:], database)
    assert cachao.counters(orders[0])[0] == 5


@SHAPES
@pytest.mark.parametrize("limited", [True, False], ids=["NULL in the row", "no such column"])
def test_one_batch_settles_any_number_where_there_is_no_limit(
    shared_server: MariaDBServer, tables: ShopTables | None, *, limited: bool
) -> None:
    shape = tables or ShopTables()
    names = {"table": shape.tickets, "id": shape.ticket_id, "sold_quantity": shape.sold}
    unlimited: dict[str, Any] = {"tickets": TicketsTable(**names, max_quantity=None)}
    cachao = Cachao(shared_server, tables=tables, **({} if limited else unlimited))
    ticket = cachao.add_ticket()
    orders = [cachao.add_order(ticket_id=ticket, quantity=500) for _ in range(3)]
    events = [event_for(order, payment=str(order.id)) for order in orders]
    with closing(cachao.database()) as database:
        assert settle_batch(events, database) == {order.id for order in orders}

    assert cachao.counters(orders[0])[0] == 1500


def test_held_order_settles_once_there_is_a_seat(shared_server: MariaDBServer) -> None:
    cachao = Cachao(shared_server, when_sold_out="hold", statuses=StatusWords(held="held"))
    [order] = on_sale(cachao, 1, 0)
    event = event_for(order)
    with closing(cachao.database()) as database:
        assert deliver(event, database).anomaly is AnomalyKind.OVERSOLD
        cachao.query("UPDATE tickets SET max_quantity = 1")

        assert deliver(event, database).outcome is Outcome.SETTLED
    assert cachao.query("SELECT resolution FROM payment_anomalies") == [("settled",)]


def test_order_of_more_tickets_than_are_left_is_held_whole(shared_server: MariaDBServer) -> None:
    cachao = Cachao(shared_server, when_sold_out="hold")
    ticket = cachao.add_ticket(limit=3)
    first, second = (cachao.add_order(ticket_id=ticket, quantity=2) for _ in range(2))
    with closing(cachao.database()) as database:
        deliver(event_for(first, payment="a"), database)
        result = deliver(event_for(second, payment="b"), database)

    assert result.anomaly is AnomalyKind.OVERSOLD
    assert "2 paid, 2 of 3 were sold before" in str(result.reason)
    assert cachao.counters(second) == (2, 0)
    assert cachao.status(second) == "pending"


def test_oversold_order_costs_no_further_round_trip(shared_server: MariaDBServer) -> None:
    cachao = Cachao(shared_server)
    warm, order = on_sale(cachao, 2, 0)
    question = (
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
        "WHERE VARIABLE_NAME = 'Com_execute_sql'"
    )
    with closing(cachao.database()) as database:
        deliver(event_for(warm, payment="a"), database)
        before = int(cachao.value(question))

        assert deliver(event_for(order, payment="b"), database).outcome is Outcome.SETTLED
        assert int(cachao.value(question)) - before == 1


@pytest.mark.parametrize("limited", [True, False], ids=["NULL in the row", "no such column"])
def test_ticket_without_a_limit_is_never_sold_out(
    shared_server: MariaDBServer, *, limited: bool
) -> None:
    settings: dict[str, Any] = {} if limited else {"tickets": TicketsTable(max_quantity=None)}
    cachao = Cachao(shared_server, **settings)
    orders = [cachao.add_order(quantity=500) for _ in range(3)]
    with closing(cachao.database()) as database:
        results = [deliver(event_for(order, payment=str(order.id)), database) for order in orders]

    assert [(result.outcome, result.anomaly) for result in results] == [(Outcome.SETTLED, None)] * 3
    assert [cachao.counters(order)[0] for order in orders] == [500] * 3
