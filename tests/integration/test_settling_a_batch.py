"""Many events in one transaction: the rules of one, and each acknowledgement its own."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime

import pytest

from local.servers.mariadb import MariaDBServer
from settlement.domain.outcomes import AnomalyKind, Outcome, Result
from tests.support.cachao import (
    OTHER_TABLES,
    Cachao,
    ShopDatabase,
    deliver,
    deliver_batch,
    event_for,
    settle_batch,
)

pytestmark = pytest.mark.both_shapes


def outcomes(results: list[Result]) -> list[str]:
    return [result.anomaly or result.outcome for result in results]


def test_a_batch_settles_every_order_once(cachao: Cachao, database: ShopDatabase) -> None:
    ticket, code = cachao.add_ticket(), cachao.add_discount_code()
    orders = [
        cachao.add_order(ticket_id=ticket, discount_code_id=code, quantity=n + 1) for n in range(5)
    ]
    events = [event_for(order, payment=f"p{n}") for n, order in enumerate(orders)]

    results = deliver_batch(events, database)

    assert outcomes(results) == [Outcome.SETTLED] * 5
    assert {cachao.status(order) for order in orders} == {"paid"}
    assert [cachao.settlements(order) for order in orders] == [1] * 5
    assert cachao.counters(orders[0])[0] == 15


@pytest.fixture(scope="module")
def other_shop(shared_server: MariaDBServer) -> Cachao:
    return Cachao(shared_server, tables=OTHER_TABLES)


def test_another_teams_tables_settle_in_overlapping_batches(other_shop: Cachao) -> None:
    """Text ids, amounts in minor units, no discount codes; every event is in two batches."""
    ticket = other_shop.add_ticket()
    orders = [other_shop.add_order(ticket_id=ticket, quantity=2) for _ in range(40)]
    events = [event_for(order, payment=f"other{n}") for n, order in enumerate(orders)]
    batches = [events[:20], list(reversed(events[10:30])), events[20:], events[30:] + events[:10]]
    with ExitStack() as stack:
        databases = [stack.enter_context(closing(other_shop.database())) for _ in batches]
        pool = stack.enter_context(ThreadPoolExecutor(len(batches)))

        found = Counter(
            each
            for results in pool.map(deliver_batch, batches, databases)
            for each in outcomes(results)
        )

    assert found == {Outcome.SETTLED: 40, Outcome.DUPLICATE: 40}
    assert {other_shop.status(order) for order in orders} == {"paid"}
    assert other_shop.counters(orders[0])[0] == 80


PRINTABLE = [
    "it's",
    'a"b',
    "a\\b",
    "a`b",
    "%s",
    "100%(now)s",
    "?",
    "--",
    "/*a*/",
    "{paid}",
    "null",
    "[1]",
]


@pytest.mark.parametrize("batch", [True, False])
def test_text_id_of_any_printable_characters_settles_its_own_order(
    shared_server: MariaDBServer, *, batch: bool
) -> None:
    shop = Cachao(shared_server, tables=OTHER_TABLES)
    ticket = shop.add_ticket()
    orders = []
    for text in PRINTABLE:
        order = shop.add_order(ticket_id=ticket, quantity=1)
        shop.shop_query("UPDATE {orders} SET {order_id} = %s WHERE {order_id} = %s", text, order.id)
        orders.append(replace(order, id=text))
    events = [event_for(order, payment=f"p{n}") for n, order in enumerate(orders)]
    with closing(shop.database()) as database:
        if batch:
            assert settle_batch(events, database) == set(PRINTABLE)
        else:
            results = [deliver(event, database) for event in events]
            assert {result.outcome for result in results} == {Outcome.SETTLED}

    assert [shop.settlements(order) for order in orders] == [1] * len(orders)
    assert {shop.status(order) for order in orders} == {"paid"}
    assert shop.counters(orders[0])[0] == len(orders)


@pytest.mark.service_tables
def test_server_that_joins_in_another_order_settles_the_same_orders() -> None:
    """A join buffer returns the orders that it finds first, and those that are missing last."""
    options: dict[str, str | int] = {
        "join_cache_level": 8,
        "optimizer_switch": "mrr=on,mrr_sort_keys=on,join_cache_bka=on",
    }
    with MariaDBServer(options=options) as server:
        cachao = Cachao(server)
        orders = [cachao.add_order() for _ in range(4)]
        cachao.query("UPDATE ticket_orders SET id = id + 1000 WHERE id > %s", orders[1].id)
        late = [replace(order, id=int(order.id) + 1000) for order in orders[2:]]
        unknown = replace(orders[0], id=int(orders[1].id) + 1)
        events = [
            event_for(orders[0], payment="a", amount=orders[0].amount + 100),
            event_for(unknown, payment="b"),
            event_for(late[0], payment="c"),
            event_for(late[1], payment="d"),
        ]
        with closing(cachao.database()) as database:
            found = outcomes(deliver_batch(events, database))

        assert found[0] is AnomalyKind.AMOUNT_MISMATCH
        assert found[2:] == [Outcome.SETTLED] * 2
        settled = cachao.query("SELECT order_id FROM settlements ORDER BY order_id")
        assert [each for (each,) in settled] == [str(order.id) for order in late]
        assert cachao.status(orders[0]) == "pending"


def test_a_batch_takes_one_round_trip(cachao: Cachao, database: ShopDatabase) -> None:
    orders = [cachao.add_order() for _ in range(6)]
    deliver_batch(
        [event_for(order, payment=f"a{n}") for n, order in enumerate(orders[:2])], database
    )
    question = (
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
        "WHERE VARIABLE_NAME = 'Com_execute_sql'"
    )
    before = int(cachao.value(question))

    deliver_batch(
        [event_for(order, payment=f"b{n}") for n, order in enumerate(orders[2:])], database
    )

    assert int(cachao.value(question)) - before == 1


def test_what_the_batch_cannot_settle_gets_the_outcome_of_a_single_delivery(
    cachao: Cachao, database: ShopDatabase
) -> None:
    settled = cachao.add_order()
    deliver(event_for(settled, payment="first"), database)
    plain, twice, wrong = cachao.add_order(), cachao.add_order(), cachao.add_order(amount=7000)
    missing = replace(cachao.add_order(), id=plain.id if isinstance(plain.id, str) else 2**40)
    events = [
        event_for(plain, payment="plain"),
        event_for(settled, payment="first"),
        event_for(settled, payment="second"),
        event_for(twice, payment="twice"),
        event_for(twice, payment="twice", event="again"),
        event_for(replace(wrong, amount=6000), payment="wrong"),
        event_for(cachao.add_order(), payment="unpaid", payment_status="unpaid"),
        {"object": "event"},
        {**event_for(plain), "type": "charge.refunded", "id": "evt_other"},
    ]
    if isinstance(missing.id, int):
        events.append(event_for(missing, payment="missing"))

    results = deliver_batch(events, database)

    assert outcomes(results)[:9] == [
        Outcome.SETTLED,
        Outcome.DUPLICATE,
        AnomalyKind.SECOND_PAYMENT,
        Outcome.SETTLED,
        Outcome.DUPLICATE,
        AnomalyKind.AMOUNT_MISMATCH,
        Outcome.AWAITING_PAYMENT,
        Outcome.UNAUTHENTICATED,
        Outcome.IGNORED,
    ]
    assert cachao.counters(twice)[0] == 2
    assert cachao.counters(settled)[0] == 2


def test_a_poison_order_delays_no_other(cachao: Cachao, database: ShopDatabase) -> None:
    orders = [cachao.add_order() for _ in range(9)]
    names = cachao.tables.names()
    cachao.query(
        "DELETE FROM {tickets} WHERE {ticket_id} = %s".format_map(names), orders[4].ticket_id
    )

    results = deliver_batch(
        [event_for(order, payment=f"p{n}") for n, order in enumerate(orders)], database
    )

    expected: list[str] = [Outcome.SETTLED] * 9
    expected[4] = AnomalyKind.CANNOT_BE_SETTLED
    assert outcomes(results) == expected
    assert {cachao.counters(order)[0] for n, order in enumerate(orders) if n != 4} == {2}


@pytest.mark.parametrize("reached", ["deadlock", "killed"])
def test_a_batch_that_the_server_ends_settles_at_the_next_attempt(
    cachao: Cachao, database: ShopDatabase, reached: str
) -> None:
    orders = [cachao.add_order() for _ in range(4)]
    error = {"deadlock": 1213, "killed": 1317}[reached]
    cachao.query(
        "CREATE TABLE IF NOT EXISTS attempts (n INT AUTO_INCREMENT PRIMARY KEY) ENGINE=Aria"
    )
    cachao.query("DELETE FROM attempts")
    cachao.query(
        "CREATE TRIGGER once BEFORE INSERT ON settlements FOR EACH ROW BEGIN "
        "IF (SELECT COUNT(*) FROM attempts) = 0 THEN INSERT INTO attempts VALUES (); "
        f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {error}; END IF; END"
    )
    try:
        results = deliver_batch(
            [event_for(order, payment=f"p{n}") for n, order in enumerate(orders)], database
        )
    finally:
        cachao.query("DROP TRIGGER once")
        cachao.query("DROP TABLE attempts")

    assert outcomes(results) == [Outcome.SETTLED] * 4
    assert {cachao.counters(order)[0] for order in orders} == {2}


def test_a_batch_locks_its_own_orders_alone_whatever_the_statistics_say(
    server: MariaDBServer,
) -> None:
    """After a restart they may call a table empty that they were not told to be filled."""
    cachao = Cachao(server)
    orders = [cachao.add_order() for _ in range(30)]
    cachao.query("UPDATE mysql.innodb_table_stats SET n_rows = 0, clustered_index_size = 1")
    server.restart()
    with closing(cachao.connect()) as other, closing(cachao.database()) as database:
        other.begin()
        other.cursor().execute(
            "SELECT * FROM ticket_orders WHERE id = %s FOR UPDATE", (orders[0].id,)
        )
        results = deliver_batch(
            [event_for(order, payment=f"p{n}") for n, order in enumerate(orders[1:])], database
        )

    assert outcomes(results) == [Outcome.SETTLED] * 29
    [(_, waits)] = cachao.query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
    assert waits == "0"


def test_a_batch_writes_what_single_settlements_write(
    cachao: Cachao, database: ShopDatabase
) -> None:
    ticket, code = cachao.add_ticket(), cachao.add_discount_code()
    for _ in range(9):
        cachao.add_order()  # so that no order's id is also a quantity or another id
    customer = {"email": "zoë@exämple.org", "name": "Zoë"}

    def written(prefix: str, *, batch: bool) -> list[tuple[object, ...]]:
        orders = [
            cachao.add_order(ticket_id=ticket, discount_code_id=code, quantity=n + 1)
            for n in range(3)
        ]
        wrong = [
            event_for(replace(order, amount=order.amount + 5), payment=f"{prefix}{n}")
            for n, order in enumerate(orders)
        ]
        for event in wrong[:2]:
            deliver({**event, "id": f"{event['id']}_wrong"}, database)
        events = [
            event_for(order, payment=f"{prefix}{n}", customer_email=None, customer_details=customer)
            for n, order in enumerate(orders)
        ]
        if batch:
            assert settle_batch(events, database) == {order.id for order in orders}
        else:
            for event in events:
                deliver(event, database)
        names = cachao.tables.names()
        rows: list[tuple[object, ...]] = []
        for n, order in enumerate(orders):
            payment = f"{prefix}{n}"
            [row] = cachao.query(
                "SELECT * FROM {orders} WHERE {order_id} = %s".format_map(names), order.id
            )
            [settlement] = cachao.query("SELECT * FROM settlements WHERE order_id = %s", order.id)
            [recorded] = cachao.query(
                "SELECT * FROM stripe_events WHERE event_id = %s", "evt_" + payment
            )
            anomalies = cachao.query(
                "SELECT kind, resolution, resolved_at IS NULL FROM payment_anomalies "
                "WHERE session_id = %s",
                "cs_" + payment,
            )
            rows.append(
                tuple(
                    "order"
                    if str(value) == str(order.id)
                    else str(value).replace(payment, "payment")
                    for value in (*row, *settlement, *recorded, *anomalies)
                    if not isinstance(value, datetime)
                )
            )
        return rows

    assert written("batch", batch=True) == written("one", batch=False)
