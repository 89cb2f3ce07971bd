"""Settlements per second, and the cold start, side by side with the ordinary way and the floor.

    python -m benchmarks.settlements --quick

One run, about six minutes; --quick takes less than one, and its figures are good for nothing but
seeing that everything runs. Ends with 1 under --check when a promise is not kept.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cold_start, growth, machine, report
from benchmarks.comparison import Comparison
from benchmarks.distance import distance
from benchmarks.pages import PAGE
from benchmarks.results import Results
from benchmarks.workload import SERVER_OPTIONS, Workload
from local.servers.mariadb import MariaDBServer

DELAYS_MS = (0, 1)
COLD_START_ORDERS = 1_000


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    orders: int
    many: int
    cold_starts: int


THOROUGH = Effort(rounds=9, seconds=1, orders=2_000_000, many=growth.MANY, cold_starts=21)
QUICK = Effort(rounds=2, seconds=0.3, orders=200_000, many=20_000, cold_starts=3)


def measure(effort: Effort, directory: Path | None, progress: Callable[[str], None]) -> Results:
    """Measures everything, on a database server of its own."""
    with MariaDBServer(options=SERVER_OPTIONS, parent_directory=directory) as mariadb:
        described = machine.describe(mariadb, directory)
        progress(f"filling a database with {effort.orders:,} orders")
        workload = Workload(mariadb, name="cachao", orders=effort.orders)
        comparison = Comparison(
            workload,
            last_order=effort.orders - COLD_START_ORDERS,
            rounds=effort.rounds,
            seconds=effort.seconds,
            progress=progress,
        )
        distances_ms: dict[float, float] = {}
        for delay_ms in DELAYS_MS:
            with distance(workload, delay_ms) as way:
                distances_ms[delay_ms] = way.measured_ms
                comparison.compare(way)
        round_trips = comparison.count_round_trips()
        comparison.verify()
        progress(f"settling among {growth.FEW:,} and among {effort.many:,} orders")
        grown = growth.measure(mariadb, many=effort.many)
        cold_starts = cold_start.measure(
            workload,
            first_order=effort.orders - COLD_START_ORDERS + 1,
            rounds=effort.cold_starts,
            progress=progress,
        )
    return Results(
        machine=described,
        rounds=effort.rounds,
        seconds_of_rounds=effort.seconds,
        distances_ms=distances_ms,
        rates=comparison.rates,
        round_trips=round_trips,
        growth=grown,
        cold_starts=cold_starts,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the page, and writes what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.settlements",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    results = run(options)
    publish(results, options)
    return verdict(results, options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, also for the command that measures everything."""
    parser.add_argument(
        "--quick", action="store_true", help="less than a minute; shows that everything runs"
    )
    parser.add_argument("--check", action="store_true", help="end with 1 if a promise is broken")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md and its chart"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "--data-directory",
        type=Path,
        metavar="DIR",
        help="where the database keeps its data (default: the temporary directory)",
    )


def run(options: argparse.Namespace) -> Results:
    """Measures as the options say; reports progress on standard error."""
    steps = itertools.count(1)

    def progress(text: str) -> None:
        print(f"[{next(steps)}] {text}", file=sys.stderr, flush=True)

    return measure(QUICK if options.quick else THOROUGH, options.data_directory, progress)


def publish(results: Results, options: argparse.Namespace, more: str = "") -> None:
    """Prints the page; writes it, the chart and the JSON where that is asked for."""
    chart = PAGE.with_suffix(".svg")
    text = report.page(results, chart.name, more)
    print(text)
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        report.chart(results, chart)
    if options.json:
        options.json.write_text(report.as_json(results), encoding="utf-8")


def verdict(results: Results, options: argparse.Namespace) -> int:
    """1 if a promise is broken and that was to be checked."""
    broken = [target for target in results.targets() if not target.reached]
    for target in broken:
        print(
            f"broken: {target.promise} is {target.value:.2f}, must be {target.bound}",
            file=sys.stderr,
        )
    return 1 if broken and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
