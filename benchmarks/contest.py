"""The contenders settle by turns, scene after scene; no order is settled twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders import Name
from benchmarks.crew import Crew
from benchmarks.results import Rate, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.box_office import BoxOffice
    from benchmarks.crew import Work
    from benchmarks.distance import Distance

WORKERS = (1, 32)
CONTENDERS = (Name.OURS, Name.NAIVE, Name.FLOOR)


class Contest:
    """Holds the contest on one database and keeps the score."""

    def __init__(
        self,
        office: BoxOffice,
        *,
        last_order: int,
        rounds: int,
        seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self.rates: dict[Scene, dict[Name, Rate]] = {}
        self._office = office
        self._admin = office.admin()
        self._last_order = last_order
        self._rounds = rounds
        self._seconds = seconds
        self._progress = progress
        self._next_orders = {True: 1, False: 2}
        """Of the hot ticket, and of the others."""
        self._settled = 0

    def hold(self, way: Distance) -> None:
        """Lets all contend over this distance, alone and in a crowd, hot and spread."""
        for workers in WORKERS:
            with Crew(workers) as crew:
                for hot in (True, False):
                    self._play(
                        Scene(delay_ms=way.nominal_ms, workers=workers, hot=hot), crew, way.port
                    )

    def count_round_trips(self) -> dict[Name, float]:
        """Statements that each sends for one order, by the server's own count."""
        port = self._office.server.port
        counts = {}
        with Crew(1) as crew:
            for name in CONTENDERS:
                # The first order of a connection costs more: it connects. So one shift to begin.
                self._settle(crew, name, port, hot=False, seconds=0)
                before = self._questions()
                work = self._settle(crew, name, port, hot=False, seconds=0.2)
                counts[name] = (self._questions() - before - 1) / (work.settled + crew.size)
        return counts

    def verify(self) -> None:
        """Checks that the database agrees on how many orders were settled.

        Raises `RuntimeError` if it does not.
        """
        paid = self._ask("SELECT COUNT(*) FROM ticket_orders WHERE status = 'paid'")
        if paid != self._settled:
            raise RuntimeError(f"{self._settled} orders were reported settled, {paid} are paid")

    def _play(self, scene: Scene, crew: Crew, port: int) -> None:
        names = [*CONTENDERS, Name.HANDLER] if scene.workers == 1 else [*CONTENDERS]
        rates = self.rates[scene] = {name: Rate() for name in names}
        for number in range(self._rounds):
            self._progress(f"{scene.title}: round {number + 1} of {self._rounds}")
            # Each goes first in its turn, so that nobody always follows the same one.
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                work = self._settle(crew, name, port, hot=scene.hot, seconds=self._seconds)
                rates[name].add(work)

    def _settle(self, crew: Crew, name: Name, port: int, *, hot: bool, seconds: float) -> Work:
        work = crew.settle(
            name,
            self._office.settings(port),
            first=self._next_orders[hot],
            last=self._last_order,
            seconds=seconds,
        )
        if name is not Name.FLOOR:  # which settles no order: the next may have these
            self._next_orders[hot] = work.next_order
            self._settled += work.settled + crew.size  # each began with one that is not timed
        return work

    def _questions(self) -> int:
        return self._ask(
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
            "WHERE VARIABLE_NAME = 'QUESTIONS'"
        )

    def _ask(self, query: str) -> int:
        with self._admin.cursor() as cursor:
            cursor.execute(query)
            [(value,)] = cursor.fetchall()
            return int(value)
