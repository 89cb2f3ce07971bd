"""What was measured, and what it must reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from benchmarks.candidates import Name
from benchmarks.cold_start import ColdStarts
from benchmarks.growth import Growth
from benchmarks.machine import Machine
from benchmarks.worker_pool import Work


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One situation in which all candidates are compared."""

    delay_ms: float
    workers: int
    hot: bool

    @property
    def title(self) -> str:
        """For a table."""
        tickets = "one hot ticket" if self.hot else "spread tickets"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"{tickets}, {workers}, {self.delay_ms:g} ms"


@dataclass
class Rate:
    """What one candidate reached in one situation: medians over the rounds."""

    per_second_of_rounds: list[float] = field(default_factory=list)
    p50_ms_of_rounds: list[float] = field(default_factory=list)
    p99_ms_of_rounds: list[float] = field(default_factory=list)

    def add(self, work: Work) -> None:
        """Takes one round in."""
        latencies = sorted(work.latencies)
        self.per_second_of_rounds.append(work.settled / work.seconds)
        self.p50_ms_of_rounds.append(latencies[len(latencies) // 2] * 1000)
        self.p99_ms_of_rounds.append(latencies[len(latencies) * 99 // 100] * 1000)

    @property
    def per_second(self) -> float:
        """Orders settled per second."""
        return statistics.median(self.per_second_of_rounds)

    @property
    def p50_ms(self) -> float:
        """Half of the orders were settled faster."""
        return statistics.median(self.p50_ms_of_rounds)

    @property
    def p99_ms(self) -> float:
        """One order in a hundred took longer."""
        return statistics.median(self.p99_ms_of_rounds)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A promise, and what was measured."""

    promise: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the promise holds."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def bound(self) -> str:
        """In words."""
        return f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything from one run."""

    machine: Machine
    rounds: int
    seconds_of_rounds: float
    distances_ms: dict[float, float]
    """Nominal delay → median of a ping, as measured."""
    rates: dict[Situation, dict[Name, Rate]]
    round_trips: dict[Name, float]
    """Statements a candidate sends for one order (the server's `Questions`)."""
    growth: Growth
    cold_starts: ColdStarts

    def times(
        self,
        other: Name,
        *,
        ours: Name = Name.OURS,
        delay_ms: float,
        workers: int,
        hot: bool = True,
    ) -> float:
        """Our settlements per second as a multiple of another's, in one situation."""
        rates = self.rates[Situation(delay_ms=delay_ms, workers=workers, hot=hot)]
        return rates[ours].per_second / rates[other].per_second

    def targets(self) -> list[Target]:
        """The promises of this repository that this benchmark can break."""
        return [
            Target(
                promise="hot ticket, 32 workers, 1 ms: times (a)",
                value=self.times(Name.NAIVE, delay_ms=1, workers=32),
                at_least=8,
            ),
            Target(
                promise="hot ticket, 32 workers, 1 ms: part of (b)",
                value=self.times(Name.FLOOR, delay_ms=1, workers=32),
                at_least=0.4,
            ),
            Target(
                promise="hot ticket, 1 worker, 1 ms: part of (b)",
                value=self.times(Name.FLOOR, delay_ms=1, workers=1),
                at_least=0.75,
            ),
            Target(
                promise="hot ticket, 32 workers, 1 ms: batches of 50, times (b)",
                value=self.times(Name.FLOOR, ours=Name.BATCH_50, delay_ms=1, workers=32),
                at_least=2.5,
            ),
            Target(
                promise="hot ticket, 32 workers, 1 ms: batches of 50, times one by one",
                value=self.times(Name.OURS, ours=Name.BATCH_50, delay_ms=1, workers=32),
                at_least=4,
            ),
            Target(
                promise="hot ticket, 32 workers, 1 ms: batches of 10, times (b)",
                value=self.times(Name.FLOOR, ours=Name.BATCH_10, delay_ms=1, workers=32),
                at_least=1,
            ),
            Target(
                promise="spread tickets, 32 workers, 0 ms: batches of 50, times one by one",
                value=self.times(Name.OURS, ours=Name.BATCH_50, delay_ms=0, workers=32, hot=False),
                at_least=3,
            ),
            Target(
                promise="round trips per order",
                value=self.round_trips[Name.OURS],
                at_most=1,
            ),
            Target(
                promise=f"an order among {self.growth.many_orders:,}: times the cost among 1,000",
                value=self.growth.ratio,
                at_most=1.1,
            ),
            Target(
                promise="cold start, plain settings: part of the ordinary handler's",
                value=self.cold_starts.plain.ratio,
                at_most=0.5,
            ),
            Target(
                promise="cold start, secrets by ARN: part of the ordinary handler's",
                value=self.cold_starts.by_arn.ratio,
                at_most=0.7,
            ),
        ]
