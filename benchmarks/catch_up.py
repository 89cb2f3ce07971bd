"""What one run of reconciliation does after both routes were down for an hour.

    python -m benchmarks.catch_up

Rewrites its section of docs/benchmarks.md under --write. Ends with 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from benchmarks import pages
from benchmarks.workload import AMOUNT, CURRENCY, SERVER_OPTIONS, Workload
from local.fake_stripe.server import StripeServer
from local.servers.mariadb import MariaDBServer
from settlement.adapters.ledger import MariaDBLedger
from settlement.adapters.reconciliation_ledger import MariaDBReconciliationLedger
from settlement.adapters.stripe_api import PAGE_SIZE, StripeApi
from settlement.bootstrap import open_database
from settlement.domain.batch import handle_stripe_events
from settlement.domain.clock import Deadline
from settlement.domain.order_tables import OrderTables
from settlement.domain.outcomes import Result, Route
from settlement.domain.payments import Rules
from settlement.domain.reconciliation import Limits, ListedEvent, Run, reconcile
from settlement.domain.service import Delivery, Parts

ORDERS, QUICK_ORDERS = 10_000, 1_000
OUTAGE = timedelta(hours=1)
TIMEOUT_SECONDS = 300.0
"""The function's default timeout."""
HEADING = "## After an outage of both routes"


@dataclass(frozen=True, kw_only=True)
class CatchUp:
    """One run, and what the database holds after it."""

    orders: int
    seconds: float
    run: Run
    requests: int
    """To Stripe."""
    queries: int
    """Of the ledger, about a page."""
    settlements: int
    sold: int
    second_run_settled: int

    def broken(self) -> list[str]:
        """Return the promises that were not kept."""
        pages = -(-self.orders // PAGE_SIZE)
        promises = {
            "one run settles all": self.run.caught_up and self.run.settled == self.orders,
            "each order settles once": self.settlements == self.sold == self.orders,
            "nothing is settled again": self.second_run_settled == 0,
            "one request per 100 events": self.requests <= pages,
            "one query per page": self.queries <= pages,
        }
        return [promise for promise, kept in promises.items() if not kept]

    def section(self) -> str:
        """Return the page's section."""
        return f"""\
{HEADING}

For an hour {self.orders:,} orders are paid and no delivery arrives. One run of
reconciliation, within the function's default timeout of {TIMEOUT_SECONDS:.0f} s, settles
{self.run.settled:,} of them in {self.seconds:.0f} s ({self.orders / self.seconds:,.0f} per second):
{self.requests} requests to Stripe, {self.queries} queries about a page, {self.settlements:,}
settlements, {self.settlements - self.orders} too many. The next run settles
{self.second_run_settled}. Stripe is a [mock](../local/fake_stripe) in the same process, without
distance; the database is real.

Measured by itself on {datetime.now(UTC):%Y-%m-%d}: `python -m benchmarks.catch_up`."""


class CountingLedger(MariaDBReconciliationLedger):
    """Counts the queries about a page."""

    queries = 0

    def known(self, events: Sequence[ListedEvent], deadline: Deadline) -> set[str]:
        """Count, and ask."""
        self.queries += 1
        return super().known(events, deadline)


class Key:
    """A secret that holds a key of the mock's."""

    def __init__(self, key: str) -> None:
        self._key = key

    def read(self, deadline: Deadline) -> str:  # noqa: ARG002
        """Return the key."""
        return self._key

    def read_again(self, deadline: Deadline) -> str | None:  # noqa: ARG002
        """Return nothing: it does not change."""
        return None


def measure(orders: int) -> CatchUp:
    """Lose an hour of payments, and reconcile."""
    with (
        MariaDBServer(options=SERVER_OPTIONS) as mariadb,
        StripeServer() as stripe,
        patch.dict(os.environ, {"STRIPE_API_BASE": stripe.url}),
    ):
        workload = Workload(mariadb, name="catch_up", orders=orders)
        pay_and_lose(stripe, orders)
        with (
            closing(open_database(workload.settings())) as database,
            closing(open_database(workload.settings())) as routes,
        ):
            ledger = CountingLedger(database, livemode=False)
            parts = Parts(ledger=MariaDBLedger(routes, OrderTables()), rules=Rules(livemode=False))

            def settle(events: Sequence[object]) -> Iterator[tuple[int, Result]]:
                delivery = Delivery(
                    route=Route.RECONCILIATION, received_at=datetime.now(UTC), deadline=deadline
                )
                openers = [lambda event=event: event for event in events]
                return handle_stripe_events(openers, delivery, lambda: parts)

            def run() -> Run:
                api = StripeApi(Key(stripe.account.test_key), livemode=False)
                return reconcile(
                    api, ledger, settle, limits=Limits(), now=datetime.now(UTC), deadline=deadline
                )

            deadline = Deadline(TIMEOUT_SECONDS)
            began = time.perf_counter()
            first = run()
            seconds = time.perf_counter() - began
            requests = stripe.request_count(method="GET", path="/v1/events")
            queries = ledger.queries
            deadline = Deadline(TIMEOUT_SECONDS)
            second = run()
        return CatchUp(
            orders=orders,
            seconds=seconds,
            run=first,
            requests=requests,
            queries=queries,
            settlements=workload.value("SELECT COUNT(*) FROM settlements"),
            sold=int(workload.value("SELECT SUM(sold_quantity) FROM tickets")),
            second_run_settled=second.settled,
        )


def pay_and_lose(stripe: StripeServer, orders: int) -> None:
    """Pay every order, spread over the outage, and deliver nothing."""
    began = time.time() - (OUTAGE + Limits().young_after).total_seconds() - 60
    for number in range(1, orders + 1):
        stripe.create_paid_checkout(
            amount=AMOUNT,
            currency=CURRENCY,
            metadata={"order_id": str(number)},
            created=int(began + OUTAGE.total_seconds() * number / orders),
            deliver=False,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catch_up", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ORDERS:,} orders")
    parser.add_argument("--write", action="store_true", help="write the section of the page")
    options: Any = parser.parse_args(arguments)
    measured = measure(QUICK_ORDERS if options.quick else ORDERS)
    print(measured.section())
    if options.write:
        pages.write_section(HEADING, measured.section())
    return 1 if say_what_is_broken(measured) else 0


def say_what_is_broken(measured: CatchUp) -> bool:
    """Print the promises that were not kept; return whether there are any."""
    for promise in measured.broken():
        print(f"broken: {promise}: {measured}", file=sys.stderr)
    return bool(measured.broken())


if __name__ == "__main__":
    sys.exit(main())
