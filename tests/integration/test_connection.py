"""One connection an execution environment: kept, replaced when stale, never waited for too long."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from local.servers.delaying_proxy import DelayingProxy
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Outcome
from settlement.errors import LedgerUnavailable
from tests.support.cachao import Holder, deliver, event_for

if TYPE_CHECKING:
    from settlement.adapters.database import Database
    from tests.support.cachao import Cachao


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
