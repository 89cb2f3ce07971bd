"""Those who are compared. Each holds one connection, by the same driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import pymysql

from benchmarks import naive_handler
from benchmarks.workload import PASSWORD, USER, Json, ticket_of
from settlement.adapters.ledger import MariaDBLedger
from settlement.bootstrap import open_database
from settlement.configuration import DatabaseSettings
from settlement.domain.batch import handle_stripe_events
from settlement.domain.clock import Deadline, utc_now
from settlement.domain.order_tables import OrderTables
from settlement.domain.outcomes import Outcome, Route
from settlement.domain.payments import Rules
from settlement.domain.service import Delivery, Parts, handle_stripe_event

Orders = Sequence[tuple[int, Json]]
"""The ids of orders, each with the envelope that pays for it."""


class Candidate(Protocol):
    """One way to settle orders."""

    def settle(self, orders: Orders) -> None:
        """Returns once all are committed; raises if one was not settled.

        As many as the candidate's name says, which is one for most.
        """

    def close(self) -> None:
        """Gives the connection back."""


class Name(StrEnum):
    """The candidates, by their names in the tables."""

    OURS = "ours"
    NAIVE = "(a) one statement per round trip"
    FLOOR = "(b) a bare UPDATE"
    HANDLER = "ours, the whole handler"
    BATCH_10 = "ours, batches of 10"
    BATCH_50 = "ours, batches of 50"

    @property
    def at_once(self) -> int:
        """Orders that it settles in one transaction."""
        return {Name.BATCH_10: 10, Name.BATCH_50: 50}.get(self, 1)


class Ours:
    """From the verified Stripe event to the committed outcome: the use case over the ledger."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._ledger = MariaDBLedger(open_database(settings), OrderTables())
        self._parts = Parts(ledger=self._ledger, rules=Rules())

    def settle(self, orders: Orders) -> None:
        """See `Candidate`."""
        [(_, envelope)] = orders
        delivery = Delivery(route=Route.EVENTBRIDGE, received_at=utc_now(), deadline=Deadline(60))
        result = handle_stripe_event(lambda: envelope["detail"], delivery, lambda: self._parts)
        if result.outcome is not Outcome.SETTLED:
            raise RuntimeError(f"not settled but {result.outcome}: {result.reason}")

    def close(self) -> None:
        """See `Candidate`."""
        self._ledger.close()


class OursBatch:
    """As `Ours`, for what one invocation of on-sale mode takes from its queue."""

    def __init__(self, size: int, settings: DatabaseSettings) -> None:
        self._size = size
        self._ledger = MariaDBLedger(open_database(settings), OrderTables())
        self._parts = Parts(ledger=self._ledger, rules=Rules())

    def settle(self, orders: Orders) -> None:
        """See `Candidate`."""
        if len(orders) != self._size:
            raise ValueError(f"expected {self._size} orders, got {len(orders)}")
        delivery = Delivery(route=Route.EVENTBRIDGE, received_at=utc_now(), deadline=Deadline(60))
        openers = [lambda envelope=envelope: envelope["detail"] for _, envelope in orders]
        for _, result in handle_stripe_events(openers, delivery, lambda: self._parts):
            if result.outcome is not Outcome.SETTLED:
                raise RuntimeError(f"not settled but {result.outcome}: {result.reason}")

    def close(self) -> None:
        """See `Candidate`."""
        self._ledger.close()


class OursWhole:
    """The EventBridge handler as Lambda calls it, with its logs and metrics (written nowhere)."""

    def __init__(self, settings: DatabaseSettings) -> None:
        os.environ.update(environment(settings))
        from eventbridge_handler import handler
        from settlement.bootstrap import parts, telemetry

        parts.cache_clear()
        telemetry.cache_clear()
        self._handler, self._parts = handler, parts
        self._nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        with redirect_stdout(self._nowhere):
            telemetry()

    def settle(self, orders: Orders) -> None:
        """See `Candidate`."""
        [(_, envelope)] = orders
        with redirect_stdout(self._nowhere):
            answer = self._handler(envelope, Context())
        if answer["outcome"] != Outcome.SETTLED:
            raise RuntimeError(f"not settled but {answer}")

    def close(self) -> None:
        """See `Candidate`."""
        cast("MariaDBLedger", self._parts().ledger).close()
        self._nowhere.close()


class Naive:
    """The conversation of `naive_handler`, without its imports."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._connection = naive_handler.connect(
            settings.host, settings.port, database=settings.name, user=USER, password=PASSWORD
        )

    def settle(self, orders: Orders) -> None:
        """See `Candidate`."""
        [(_, envelope)] = orders
        answer = naive_handler.settle(self._connection, envelope)
        if answer["outcome"] != "settled":
            raise RuntimeError(f"not settled but {answer}")

    def close(self) -> None:
        """See `Candidate`."""
        self._connection.close()


class Floor:
    """Counts the ticket and nothing else: the least that any settlement has to do."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            database=settings.name,
            user=USER,
            password=PASSWORD,
            charset="utf8mb4",
            autocommit=True,
        )
        self._cursor = self._connection.cursor()

    def settle(self, orders: Orders) -> None:
        """See `Candidate`."""
        [(order_id, _)] = orders
        self._cursor.execute(
            "UPDATE tickets SET sold_quantity = sold_quantity + 1 WHERE id = %s",
            (ticket_of(order_id),),
        )

    def close(self) -> None:
        """See `Candidate`."""
        self._connection.close()


class Context:
    """What the handler asks of Lambda's context."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """A minute, always."""
        return 60_000


def environment(settings: DatabaseSettings) -> dict[str, str]:
    """The settings as a function's environment."""
    return {
        "DB_HOST": settings.host,
        "DB_PORT": str(settings.port),
        "DB_NAME": settings.name,
        "DB_USER": USER,
        "DB_PASSWORD": PASSWORD,
        "POWERTOOLS_SERVICE_NAME": "benchmark",
    }


def enter(name: Name, settings: DatabaseSettings) -> Candidate:
    """A new candidate, with a connection of its own."""
    candidates: dict[Name, Any] = {
        Name.OURS: Ours,
        Name.NAIVE: Naive,
        Name.FLOOR: Floor,
        Name.HANDLER: OursWhole,
        Name.BATCH_10: partial(OursBatch, Name.BATCH_10.at_once),
        Name.BATCH_50: partial(OursBatch, Name.BATCH_50.at_once),
    }
    candidate: Candidate = candidates[name](settings)
    return candidate
