"""An on-sale played in the local cloud: 10,000 buyers of one ticket, and what goes wrong then.

    python -m benchmarks.sale

Deploys the app into the emulated AWS, in on-sale mode. Rewrites its section of docs/benchmarks.md
under --write. Ends with 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks import pages
from local.cloud import LocalCloud
from local.sale import RETRY_SECONDS, Played, Sale, Stage, play

FULL = Sale(orders=10_000, duplicates=100, wrong_amounts=100, poison=10)
QUICK = Sale(orders=500, duplicates=5, wrong_amounts=5, poison=10)
MAX_SECONDS = 900.0
HEADING = "## An on-sale"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A sale, and how long its buyers waited."""

    played: Played
    latencies: list[float]
    """Seconds from putting an event on the bus to marking its order paid, sorted."""
    seconds: float
    """From the first event to the last order."""

    def section(self) -> str:
        """Return the page's section."""
        played, sale = self.played, self.played.sale
        p99 = self.latencies[len(self.latencies) * 99 // 100]
        broken = ", ".join(played.broken())
        kept = f"Not kept: {broken}." if broken else "Every promise is kept."
        return f"""\
{HEADING}

The app is deployed into the local cloud in on-sale mode: a rule, a queue, batches of up to 50, five
at a time. {sale.orders:,} orders of one ticket are paid and put on the bus as fast as the emulator
takes them ({played.put_seconds:.0f} s), with {sale.duplicates} events that come twice,
{sale.wrong_amounts} more orders that are paid with a wrong amount, {sale.poison} events that
nothing can be read from, and one restart of the database in the middle.

| | |
| --- | ---: |
| orders settled, of {sale.orders:,} | {played.settlements:,} |
| tickets counted | {played.sold:,} |
| anomalies named, of {sale.wrong_amounts} | {sum(played.anomalies.values())} |
| messages in the on-sale queue's DLQ, of {sale.poison} poisoned | {played.dead} |
| events in the rule's DLQ | {played.undelivered} |
| from the first event to the last order, s | {self.seconds:.0f} |
| from event to commit: median, s | {statistics.median(self.latencies):.2f} |
| from event to commit: p99, s | {p99:.2f} |
| from event to commit: the longest, s | {self.latencies[-1]:.2f} |

{kept} The emulator, its bus, its queue and the functions share this machine with the database, and
set the pace. A message that failed comes again after {RETRY_SECONDS} s here, and not after six
minutes: those that met the restart are the longest. What is timed is the writing of the order's
row, a few milliseconds before the commit.

Measured by itself on {datetime.now(UTC):%Y-%m-%d}: `python -m benchmarks.sale`."""


def measure(sale: Sale) -> Measured:
    """Deploy, sell, and look at the tables."""
    with LocalCloud() as cloud:
        # The shop's own column, which the database sets: in microseconds, it is when.
        cloud.shop.query(
            "ALTER TABLE ticket_orders MODIFY updated_at DATETIME(6) NOT NULL "
            "DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"
        )
        stage = Stage(
            aws=cloud.aws,
            shop=cloud.shop,
            database=cloud.database,
            stripe=cloud.stripe_server,
            outputs=cloud.deploy_with(on_sale="queued"),
        )
        played = play(sale, stage, seconds=MAX_SECONDS)
        settled = cloud.shop.query(
            "SELECT s.event_id, o.updated_at FROM settlements AS s "
            "JOIN ticket_orders AS o ON o.id = s.order_id"
        )
    moments = {event: moment.replace(tzinfo=UTC) for event, moment in settled}
    return Measured(
        played=played,
        latencies=sorted(
            (moment - played.put_at[event]).total_seconds() for event, moment in moments.items()
        ),
        seconds=(max(moments.values()) - min(played.put_at.values())).total_seconds(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.orders:,} orders")
    parser.add_argument("--write", action="store_true", help="write the section of the page")
    options: Any = parser.parse_args(arguments)
    measured = measure(QUICK if options.quick else FULL)
    print(measured.section())
    if options.write:
        pages.write_section(HEADING, measured.section())
    return 1 if say_what_is_broken(measured) else 0


def say_what_is_broken(measured: Measured) -> bool:
    """Print the promises that were not kept; return whether there are any."""
    broken = measured.played.broken()
    for promise in broken:
        print(f"broken: {promise}: {measured.played}", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
