"""A pool of workers that settle orders at the same time, each on its own connection."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

from benchmarks.candidates import Candidate, Name, Orders, enter
from benchmarks.workload import EventPrinter
from settlement.configuration import DatabaseSettings


class Shift(NamedTuple):
    """What a pool is told to do: settle every second order from `first` on, batch by batch."""

    candidate: Name
    settings: DatabaseSettings
    first: int
    workers: int
    last: int
    seconds: float

    def batch(self, number: int) -> range:
        """The orders of the pool's batch of this number; one order each for most candidates."""
        size = 2 * self.candidate.at_once
        return range(self.first + number * size, self.first + (number + 1) * size, 2)


@dataclass(frozen=True)
class Work:
    """What a pool did in one round."""

    seconds: float
    latencies: list[float]
    """Seconds an order, in no particular order."""
    next_order: int

    @property
    def settled(self) -> int:
        """Orders settled."""
        return len(self.latencies)


class WorkerPool:
    """`size` workers: threads of `processes` processes.

    The clients share the machine with the server. Few processes keep their part small; one alone
    could become the limit of a candidate that asks little of the server, and so flatter ours.
    """

    def __init__(self, size: int, *, processes: int = 2) -> None:
        self.size = size
        context = multiprocessing.get_context("fork")
        self._ends: list[Connection[Any, Any]] = []
        self._processes = []
        processes = min(processes, size)
        for number in range(processes):
            ours, theirs = context.Pipe()
            workers = range(number, size, processes)
            process = context.Process(target=_work, args=(theirs, workers), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with suppress(OSError):  # a process that gave up has closed its end
                end.send(None)
        for process in self._processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()

    def settle(
        self,
        candidate: Name,
        settings: DatabaseSettings,
        *,
        first: int,
        last: int,
        seconds: float,
    ) -> Work:
        """Lets all settle at once, from a common start, until `seconds` have passed.

        Takes every second order from `first` on, up to `last`: see `Workload`.
        """
        for end in self._ends:
            end.send(Shift(candidate, settings, first, self.size, last, seconds))
        self._answers()  # all are connected
        began = time.perf_counter()
        for end in self._ends:
            end.send(None)
        answers = self._answers()
        elapsed = time.perf_counter() - began
        latencies = [latency for answer in answers for latency in answer[0]]
        return Work(elapsed, latencies, max(answer[1] for answer in answers))

    def _answers(self) -> list[Any]:
        answers = [end.recv() for end in self._ends]
        for answer in answers:
            if isinstance(answer, str):
                raise RuntimeError(f"a worker gave up: {answer}")  # noqa: TRY004 - no wrong type
        return answers


def _work(end: Connection[Any, Any], numbers: range) -> None:
    """A process's life: shift after shift for its workers, until there is none."""
    workers = [_Worker(number) for number in numbers]
    with ThreadPoolExecutor(len(workers)) as pool:
        while (shift := end.recv()) is not None:
            try:
                list(pool.map(_Worker.begin, workers, [shift] * len(workers)))
                end.send(None)
                end.recv()
                done = list(pool.map(_Worker.settle, workers, [shift] * len(workers)))
            except Exception as error:  # noqa: BLE001 - the pool's leader reports it
                end.send(f"{type(error).__name__}: {error}")
                return
            latencies = [latency for worker_latencies, _ in done for latency in worker_latencies]
            end.send((latencies, max(next_order for _, next_order in done)))


class _Worker:
    """One connection for each candidate, and a way to settle one order after the other."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._printer = EventPrinter()
        self._candidates: dict[tuple[Name, DatabaseSettings], Candidate] = {}

    def begin(self, shift: Shift) -> None:
        """One batch before the clock runs: it connects."""
        key = (shift.candidate, shift.settings)
        if key not in self._candidates:
            self._candidates[key] = enter(*key)
        self._candidates[key].settle(self._printed(shift.batch(self._number)))

    def settle(self, shift: Shift) -> tuple[list[float], int]:
        """Seconds each order took, those of a batch as long as it, and the first order left."""
        candidate = self._candidates[shift.candidate, shift.settings]
        latencies = []
        number = self._number + shift.workers
        now = time.perf_counter()
        end = now + shift.seconds
        while now < end:
            batch = shift.batch(number)
            if batch[-1] > shift.last:
                raise RuntimeError("no orders are left to settle")
            orders = self._printed(batch)
            began = time.perf_counter()
            candidate.settle(orders)
            now = time.perf_counter()
            latencies += [now - began] * len(batch)
            number += shift.workers
        return latencies, shift.batch(number)[0]

    def _printed(self, order_ids: range) -> Orders:
        return [(order_id, self._printer.envelope(order_id)) for order_id in order_ids]
