"""One connection an execution environment: kept, replaced when stale, never waited for too long."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Self

import pytest

from local.servers.delaying_proxy import DelayingProxy
from settlement.adapters.database import Database
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Outcome
from settlement.errors import LedgerUnavailable
from tests.support.cachao import PASSWORD, USER, Cachao, Holder, deliver, deliver_batch, event_for
from tests.support.waiting import SECONDS, join


def test_call_ends_before_its_deadline_while_the_database_is_stuck(cachao: Cachao) -> None:
    order = cachao.add_order()
    deadline = Deadline(1.5)
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))
        database = stack.enter_context(closing(cachao.database()))
        with pytest.raises(LedgerUnavailable):
            database.query("UPDATE tickets SET name = 'x'", deadline)
        assert deadline.remaining() > -Deadline.ANSWER_RESERVE_SECONDS
        holder.close()

        assert deliver(event_for(order), database).outcome in (Outcome.SETTLED, Outcome.DUPLICATE)
    assert (cachao.status(order), cachao.counters(order)) == ("paid", (2, 1))


def test_call_ends_before_its_deadline_while_the_network_swallows_packets(cachao: Cachao) -> None:
    first, order = cachao.add_order(), cachao.add_order()
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver(event_for(first, payment="first"), database)
        proxy.stall()
        deadline = Deadline(1.5)
        with pytest.raises(LedgerUnavailable):
            database.query("DO 1", deadline)
        assert deadline.remaining() > -Deadline.ANSWER_RESERVE_SECONDS
        proxy.cut_all()
        proxy.resume()

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED


def test_nothing_is_started_without_time_left(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()

    result = deliver(event_for(order), database, seconds=0.05)

    assert result.outcome is Outcome.RETRY
    assert "no time was left" in str(result.error)
    assert (cachao.status(order), cachao.settlements(order)) == ("pending", 0)


def connection_of(database: Database) -> object:
    return database.query("SELECT CONNECTION_ID()", Deadline(5))


def test_connection_that_stood_idle_for_too_long_is_replaced(cachao: Cachao) -> None:
    order = cachao.add_order()
    now = [0.0]
    with closing(cachao.database(monotonic=lambda: now[0])) as database:
        before = connection_of(database)
        now[0] += 301
        deliver(event_for(order), database)

        assert connection_of(database) != before
    assert (cachao.status(order), cachao.counters(order)) == ("paid", (2, 1))


def test_connection_is_kept_between_invocations(cachao: Cachao, database: Database) -> None:
    deliver(event_for(cachao.add_order(), payment="first"), database)
    before = connection_of(database)

    deliver(event_for(cachao.add_order(), payment="second"), database)

    assert connection_of(database) == before


def test_call_ends_before_its_deadline_though_every_answer_comes_in_time(cachao: Cachao) -> None:
    """A cold start takes eight round trips: each is fast enough, all of them are not."""
    deadline = Deadline(1.0)
    with ExitStack() as stack:
        proxy = stack.enter_context(
            DelayingProxy(cachao.server.host, cachao.server.port, one_way_seconds=0.15)
        )
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        with pytest.raises(LedgerUnavailable, match="TimeoutError"):
            database.query("DO 1", deadline)
    assert deadline.remaining() > -Deadline.ANSWER_RESERVE_SECONDS


def test_call_ends_before_its_deadline_though_a_byte_comes_now_and_then(cachao: Cachao) -> None:
    deadline = Deadline(1.0)
    with (
        Trickle() as server,
        closing(cachao.database(port=server.server_address[1])) as database,
        pytest.raises(LedgerUnavailable, match="TimeoutError"),
    ):
        database.query("DO 1", deadline)
    assert deadline.remaining() > -Deadline.ANSWER_RESERVE_SECONDS


class Trickle(socketserver.ThreadingTCPServer):
    """A server that announces a long greeting and sends it a byte at a time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        join(self._thread, "the proxy")
        self.server_close()

    class Handler(socketserver.BaseRequestHandler):
        server: Trickle

        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(b"\xff\xff\x00\x00")
                while not self.server.stopping.wait(0.05):
                    self.request.sendall(b"\x0a")


def test_repeated_answer_is_not_taken_for_the_next_ones(cachao: Cachao) -> None:
    """The answer that is repeated means settled; the next order is paid with a wrong amount."""
    first, second = cachao.add_order(), cachao.add_order()
    order = cachao.add_order()
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver(event_for(first, payment="first"), database)
        proxy.repeat_next_answer()
        assert deliver(event_for(second, payment="second"), database).outcome is Outcome.SETTLED
        connection = database._connection
        assert connection is not None
        wait_until(lambda: not connection.is_usable(), "the repeated answer came")

        result = deliver(event_for(order, amount=order.amount - 100), database)

    assert result.outcome is Outcome.ANOMALY
    assert (cachao.status(order), cachao.settlements(order)) == ("pending", 0)


def test_repeated_answer_is_not_taken_for_the_next_batchs(cachao: Cachao) -> None:
    """The answer that is repeated names two places; the next batch cannot settle its second."""
    orders = [cachao.add_order() for _ in range(6)]
    events = [event_for(order, payment=str(order.id)) for order in orders[:5]]
    events.append(event_for(orders[5], payment="too_little", amount=orders[5].amount - 100))
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver_batch(events[:2], database)
        proxy.repeat_next_answer()
        first = deliver_batch(events[2:4], database)
        second = deliver_batch(events[4:], database)

    # Duplicates where half an answer was repeated: the connection was lost after the commit.
    outcomes = [result.outcome for result in (*first, *second)]
    assert set(outcomes[:3]) <= {Outcome.SETTLED, Outcome.DUPLICATE}
    assert outcomes[3] is Outcome.ANOMALY
    assert [cachao.settlements(order) for order in orders] == [1, 1, 1, 1, 1, 0]


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, f"it never happened that {what}"


FORK = """
import json, os, sys
from contextlib import closing
from tests.support.cachao import (
    DatabaseSettings, Deadline, FixedCredentials, ShopDatabase, ShopTables, deliver, order_tables_of
)

host, port, name, user, password = sys.argv[1:]
first, parents, childs = json.load(sys.stdin)
settings = DatabaseSettings(host=host, port=int(port), name=name, user=user, password=password,
                            secret_arn=None, ca_file=None)
tables = order_tables_of(ShopTables())
with closing(ShopDatabase(settings, FixedCredentials(user, password), tables=tables)) as database:
    ask = lambda: database.query("SELECT CONNECTION_ID()", Deadline(30))[0][0]
    work = lambda events: [deliver(event, database).outcome.value for event in events]
    begun, before = work(first), ask()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, json.dumps([work(childs), ask()]).encode())
        database.close()
        os._exit(0)
    outcomes = work(parents)
    os.waitpid(child, 0)
    print(json.dumps([[begun + outcomes, before], json.loads(os.read(reading, 65536)),
                      [work(first), ask()]]))
"""


def test_two_processes_that_deliver_after_a_fork_use_a_connection_each(cachao: Cachao) -> None:
    """The fork connects anew, and ends without ending the session of the process it came from."""
    orders = [cachao.add_order() for _ in range(41)]
    events = [event_for(order, payment=str(order.id)) for order in orders]
    lanes = [events[:1], events[1:21], events[21:]]
    server = cachao.server
    address = [server.host, str(server.port), cachao.name, USER, PASSWORD]
    run = subprocess.run(
        [sys.executable, "-c", FORK, *address],
        input=json.dumps(lanes),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    (parents, before), (childs, child), (again, after) = json.loads(run.stdout)
    assert (parents, childs, again) == (["settled"] * 21, ["settled"] * 20, ["duplicate"])
    assert before == after != child
    assert [cachao.settlements(order) for order in orders] == [1] * 41


def test_connection_that_the_server_ended_is_replaced_without_a_failure(cachao: Cachao) -> None:
    pauses: list[float] = []
    first, order = cachao.add_order(), cachao.add_order()
    with closing(cachao.database(sleep=pauses.append)) as database:
        deliver(event_for(first, payment="first"), database)
        connection = database._connection
        assert connection is not None
        [[connection_id]] = database.query("SELECT CONNECTION_ID()", Deadline(30))
        cachao.query(f"KILL {connection_id}")
        wait_until(lambda: not connection.is_usable(), "the server's farewell came")

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert pauses == []
