"""The candidates settle by turns, situation after situation; no order is settled twice."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.candidates import Name
from benchmarks.distance import Distance
from benchmarks.results import Rate, Situation
from benchmarks.worker_pool import Work, WorkerPool
from benchmarks.workload import Workload

WORKERS = (1, 32)
CANDIDATES = (Name.OURS, Name.NAIVE, Name.FLOOR)
BATCHES = (Name.BATCH_10, Name.BATCH_50)
BATCH_WORKERS = 5
"""On-sale mode's default `maximum_concurrency`, however many workers the others have."""


class Comparison:
    """Compare on one database, and keep the rates."""

    def __init__(
        self,
        workload: Workload,
        *,
        last_order: int,
        rounds: int,
        seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self.rates: dict[Situation, dict[Name, Rate]] = {}
        self._workload = workload
        self._connection = workload.connect()
        self._last_order = last_order
        self._rounds = rounds
        self._seconds = seconds
        self._progress = progress
        self._next_orders = {True: 1, False: 2}
        """Of the hot ticket, and of the others."""
        self._settled = 0

    def compare(self, way: Distance) -> None:
        """Compare all over this distance, with one worker and many, hot and spread."""
        for workers in WORKERS:
            names = [*CANDIDATES, Name.HANDLER] if workers == 1 else [*CANDIDATES, *BATCHES]
            with WorkerPool(workers) as singles, WorkerPool(BATCH_WORKERS) as batches:
                pools = {name: batches if name in BATCHES else singles for name in names}
                for hot in (True, False):
                    self._play(
                        Situation(delay_ms=way.nominal_ms, workers=workers, hot=hot),
                        pools,
                        way.port,
                    )

    def count_round_trips(self) -> dict[Name, float]:
        """Statements that each sends for one order, by the server's own count."""
        port = self._workload.address.port
        counts = {}
        with WorkerPool(1) as pool:
            for name in CANDIDATES:
                # The first order of a connection costs more: it connects. So one shift to begin.
                self._settle(pool, name, port, hot=False, seconds=0)
                before = self._questions()
                work = self._settle(pool, name, port, hot=False, seconds=0.2)
                counts[name] = (self._questions() - before - 1) / (work.settled + pool.size)
        return counts

    def verify(self) -> None:
        """Checks that the database agrees on how many orders were settled.

        Raises `RuntimeError` if it does not.
        """
        paid = self._ask("SELECT COUNT(*) FROM ticket_orders WHERE status = 'paid'")
        if paid != self._settled:
            raise RuntimeError(f"{self._settled} orders were reported settled, {paid} are paid")

    def _play(self, situation: Situation, pools: dict[Name, WorkerPool], port: int) -> None:
        names = list(pools)
        rates = self.rates[situation] = {name: Rate() for name in names}
        for number in range(self._rounds):
            self._progress(f"{situation.title}: round {number + 1} of {self._rounds}")
            # Each goes first in its turn, so that nobody always follows the same one.
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                work = self._settle(
                    pools[name], name, port, hot=situation.hot, seconds=self._seconds
                )
                rates[name].add(work)

    def _settle(
        self, pool: WorkerPool, name: Name, port: int, *, hot: bool, seconds: float
    ) -> Work:
        work = pool.settle(
            name,
            self._workload.settings(port),
            first=self._next_orders[hot],
            last=self._last_order,
            seconds=seconds,
        )
        if name is not Name.FLOOR:  # which settles no order: the next may have these
            self._next_orders[hot] = work.next_order
            # Each began with one that is not timed.
            self._settled += work.settled + pool.size * name.at_once
        return work

    def _questions(self) -> int:
        return self._ask(
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
            "WHERE VARIABLE_NAME = 'QUESTIONS'"
        )

    def _ask(self, query: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            [(value,)] = cursor.fetchall()
            return int(value)
