"""Does settling an order cost more among a million orders than among a thousand?"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import dataclass

from benchmarks.candidates import Ours
from benchmarks.workload import EventPrinter, Workload
from local.servers.mariadb import MariaDBServer

FEW, MANY = 1_000, 1_000_000
SMALL_DATABASES = 3
TO_SETTLE = 800
"""Orders of each small database."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Median seconds to settle one order, one worker, no distance."""

    few_orders: int
    many_orders: int
    few_seconds: float
    many_seconds: float
    orders_settled: int
    """Among few, and as many among many."""

    @property
    def ratio(self) -> float:
        """What an order costs among many, as a multiple of what it costs among few."""
        return self.many_seconds / self.few_seconds


def measure(server: MariaDBServer, *, many: int) -> Growth:
    """Settles by turns in small databases and in a large one, on one server.

    In each, all orders but the last were settled in the past, with their settlements and events:
    these tables grow as well.
    """
    large = Workload(
        server, name="growth_many", orders=many, history=many - SMALL_DATABASES * TO_SETTLE
    )
    few, much = [], []
    for number in range(SMALL_DATABASES):
        small = Workload(server, name=f"growth_few_{number}", orders=FEW, history=FEW - TO_SETTLE)
        with (
            closing(_Till(small, small.history + 1)) as little_till,
            closing(_Till(large, large.history + 1 + number * TO_SETTLE)) as large_till,
        ):
            for _ in range(TO_SETTLE):
                few.append(little_till.settle())
                much.append(large_till.settle())
    return Growth(
        few_orders=FEW,
        many_orders=many,
        few_seconds=statistics.median(few),
        many_seconds=statistics.median(much),
        orders_settled=len(few),
    )


class _Till:
    """Settles one order after the other over one connection."""

    def __init__(self, workload: Workload, first: int) -> None:
        self._candidate = Ours(workload.settings())
        self._printer = EventPrinter()
        self._next = first

    def settle(self) -> float:
        """The seconds it took."""
        envelope = self._printer.envelope(self._next)
        began = time.perf_counter()
        self._candidate.settle([(self._next, envelope)])
        took = time.perf_counter() - began
        self._next += 1
        return took

    def close(self) -> None:
        self._candidate.close()
