"""Does settling an order cost more among a million orders than among a thousand?"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.box_office import BoxOffice, EventPrinter
from benchmarks.contenders import Ours

if TYPE_CHECKING:
    from local.mariadb import MariaDBServer

FEW, MANY = 1_000, 1_000_000
BATCH = 20


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Median seconds to settle one order, one worker, no distance."""

    few_orders: int
    many_orders: int
    few_seconds: float
    many_seconds: float
    orders_settled: int
    """In each of the two databases."""

    @property
    def ratio(self) -> float:
        """What an order costs among many, as a multiple of what it costs among few."""
        return self.many_seconds / self.few_seconds


def measure(server: MariaDBServer, *, many: int, to_settle: int = 800) -> Growth:
    """Settles in two databases of one server by turns.

    In both, all orders but the last `to_settle` were settled in the past, with their settlements
    and events: these tables grow as well.
    """
    offices = [
        BoxOffice(server=server, name=f"growth_{size}", orders=size, history=size - to_settle)
        for size in (FEW, many)
    ]
    printer = EventPrinter()
    latencies: list[list[float]] = [[], []]
    for office in offices:
        office.open()
    with closing(Ours(offices[0].settings())) as few, closing(Ours(offices[1].settings())) as much:
        contenders = (few, much)
        for first in range(0, to_settle, BATCH):
            for office, contender, seconds in zip(offices, contenders, latencies, strict=True):
                for number in range(first, first + BATCH):
                    order_id = office.history + 1 + number
                    envelope = printer.envelope(order_id)
                    began = time.perf_counter()
                    contender.settle(order_id, envelope)
                    seconds.append(time.perf_counter() - began)
    few_seconds, many_seconds = (statistics.median(seconds[BATCH:]) for seconds in latencies)
    return Growth(
        few_orders=FEW,
        many_orders=many,
        few_seconds=few_seconds,
        many_seconds=many_seconds,
        orders_settled=to_settle,
    )
