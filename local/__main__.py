"""The local cloud's command line: `python -m local run`, `cloud` and `send`; `make` calls them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn
from urllib.parse import urlsplit

import pymysql
import urllib3
from stripe import StripeError

from local.checkouts import Checkouts, Route
from local.cloud import Addresses, LocalCloud
from local.console import Console
from local.fake_stripe.control import ControlError
from local.scenario import Scenario
from local.servers.cdk import REPOSITORY, CdkError
from local.servers.emulated_aws import EmulatedAWSError, Timing
from local.servers.mariadb import DatabaseAddress, MariaDBError
from local.servers.shop_database import NamedDatabase, ShopDatabase, named_in
from local.shop import Order, Shop, ShopError
from local.waiting import WaitedInVain, wait_for

OUTPUTS: Final = REPOSITORY / ".local" / "outputs.json"
TIMING: Final = Timing(speed=100.0, async_retry_seconds=0.5)
"""An alarm's five minutes take three seconds; Lambda's first retry comes after half a second."""
NEXT_STEPS: Final = {
    "make cloud": "the same cloud, left running, with orders to pay",
    "make send": "pay one of them: ORDER=1 ROUTE=eventbridge|webhook AMOUNT=4500",
    "README.md": "the construct in ten lines, and how it is deployed",
    "docs/": "deploying, runbook, settings, limits, testing, decisions",
}
_ORDERS: Final = 5
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="A MariaDB and an emulated AWS on free ports of 127.0.0.1, and this "
        "repository's app deployed into it by the real cdk CLI. All of it goes when it ends.",
        epilog="DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD name a MariaDB that runs on "
        "this machine already, instead of a throwaway one: its user must be allowed to create "
        "tables, and the orders that are made there stay. "
        "Exit codes: 0 every step was as expected, the payment was sent, or `cloud` was ended by "
        "Ctrl-C; 1 it was not; 2 usage; 130 Ctrl-C.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|cloud|send")
    commands.add_parser("run", help="deploy, play payments and failures, and end")
    cloud = commands.add_parser("cloud", help="deploy, and stay until Ctrl-C")
    send = commands.add_parser("send", help="pay an order in the cloud that stays")
    for command in (cloud, send):
        command.add_argument(
            "--outputs",
            type=Path,
            default=OUTPUTS,
            metavar="FILE",
            help="where the cloud's addresses are written (.local/outputs.json)",
        )
    send.add_argument("--order", type=int, default=1, help="the order's number (%(default)s)")
    send.add_argument(
        "--route",
        choices=("eventbridge", "webhook"),
        default="eventbridge",
        help="by which route it is delivered (%(default)s)",
    )
    send.add_argument(
        "--amount",
        type=int,
        help="what is paid, in minor units; another than the order's total is an anomaly "
        "(default: the order's total)",
    )
    options = parser.parse_args(arguments)
    console = Console()
    for sign in _ENDING:
        signal.signal(sign, _end)
    try:
        if options.command == "run":
            return run(console)
        if options.command == "cloud":
            return stay(console, options.outputs)
        return pay(console, options.order, options.route, options.amount, options.outputs)
    except (
        *(ShopError, CdkError, EmulatedAWSError, MariaDBError, ControlError, WaitedInVain),
        *(OSError, ValueError, pymysql.MySQLError, urllib3.exceptions.HTTPError, StripeError),
    ) as error:
        print(error, file=sys.stderr)
        return 1


def run(console: Console) -> int:
    """Play the scenario. Return 0 only if every step was as expected."""
    began = time.monotonic()
    with LocalCloud(database=_database(), timing=TIMING, watch=console.phase) as cloud:
        console.heading("The scenario")
        scenario = Scenario(cloud, watch=console.working, played=console.step)
        scenario.play()
        console.heading("")
        console.steps(scenario.steps)
        console.orders(scenario.orders())
    console.verdict(scenario.steps, seconds=time.monotonic() - began)
    console.next_steps(NEXT_STEPS)
    return 0 if scenario.as_expected else 1


def stay(console: Console, outputs: Path) -> int:
    """Keep a cloud, with some orders to pay, until Ctrl-C or SIGTERM.

    Its addresses are in `outputs` as long.

    Raises:
        ValueError: the addresses of another cloud that runs are there.
    """
    _refuse_second_cloud(outputs)
    with LocalCloud(database=_database(), timing=TIMING, watch=console.phase) as cloud:
        orders = [cloud.shop.add_order() for _ in range(_ORDERS)]
        for order in orders:
            cloud.stripe.create(order)
        _write(outputs, cloud.addresses, orders)
        try:
            console.heading("Running until Ctrl-C")
            console.addresses(cloud.addresses, os.path.relpath(outputs))
            console.heading("What to do next")
            _stop_and_start_on_signal(cloud.database, console)
            console.say(f"kill -USR1 {os.getpid()} stops the database; once more starts it again.")
            console.say(
                f"Orders {orders[0].id} to {orders[-1].id} wait to be paid: make send "
                f"ORDER={orders[0].id} [ROUTE=webhook] [AMOUNT=4500]. More: docs/testing.md"
            )
            with suppress(Interrupted):  # how it is meant to end
                threading.Event().wait()
        finally:
            _remove(outputs, cloud.addresses)
    return 0


def _stop_and_start_on_signal(database: ShopDatabase, console: Console) -> None:
    running = True

    def change(*_: object) -> None:
        nonlocal running
        running = not running
        (database.start if running else database.stop)()
        console.say(f"The database is {'running' if running else 'stopped'}.")

    signal.signal(signal.SIGUSR1, change)


def pay(console: Console, order_id: int, route: Route, amount: int | None, outputs: Path) -> int:
    """Pay an order in the cloud whose addresses are in `outputs`, and print what comes of it.

    It is paid at the mock of Stripe, which delivers it by the one route, and again until it is
    taken. Sent twice, it is the same payment twice. The order itself is read from `outputs`, so
    that it can be paid while the database is down.

    Raises:
        ValueError: no cloud is running, or it has no such order.
        WaitedInVain: the database answers, and neither a settlement nor an anomaly came.
    """
    addresses, orders = _read(outputs)
    order = next((order for order in orders if order.id == order_id), None)
    if order is None:
        numbers = ", ".join(str(order.id) for order in orders)
        raise ValueError(f"There is no order {order_id}. The orders are {numbers}.")
    if not _answers(addresses):
        raise ValueError("The local cloud does not answer. Is it still running?")
    stripe = Checkouts(addresses.stripe_url, addresses.stripe_api_key)
    answer = stripe.deliver(stripe.paid_once(order, amount=amount), route)
    if route == "webhook":
        console.say(f"The webhook returned {answer.status} {answer.outcome}.")
    else:
        console.say("EventBridge took the event.")
    try:
        console.say(_outcome(Shop(_database_of(addresses)), order))
    except pymysql.err.OperationalError:
        queue = addresses.queue_names()["on_failure_queue"]
        console.say(
            "The database does not answer: the mock of Stripe posts again, later and later."
            if route == "webhook"
            else f"The database does not answer: after 2 retries the event waits in {queue}."
        )
    return 0


def _outcome(shop: Shop, order: Order) -> str:
    state = wait_for(
        lambda: (
            state if (state := shop.state(order)).settlements or shop.anomalies(order) else None
        ),
        f"order {order.id} to be settled, or an anomaly to be recorded",
    )
    anomalies = ", ".join(kind for kind, _ in shop.anomalies(order)) or "none"
    return (
        f"Order {order.id}: {state.status}, {state.sold} sold, code used {state.used}, "
        f"settled by {state.route or 'nothing'}; anomalies: {anomalies}."
    )


def _database() -> ShopDatabase | None:
    named = named_in(os.environ)
    return NamedDatabase(named) if named else None


def _database_of(addresses: Addresses) -> DatabaseAddress:
    return DatabaseAddress(
        host=addresses.db_host,
        port=addresses.db_port,
        name=addresses.db_name,
        user=addresses.db_user,
        password=addresses.db_password,
    )


def _answers(addresses: Addresses) -> bool:
    """Return whether the cloud with these addresses is running."""
    parts = urlsplit(addresses.endpoint_url)
    with suppress(OSError):
        socket.create_connection((parts.hostname, parts.port or 80), timeout=5).close()
        return True
    return False


def _refuse_second_cloud(outputs: Path) -> None:
    """Remove what a killed cloud left; raise ValueError for one that is running."""
    if not outputs.exists():
        return
    addresses, _ = _read(outputs)
    if _answers(addresses):
        raise ValueError(
            f"A local cloud is running already; its addresses are in {os.path.relpath(outputs)}. "
            "End it with Ctrl-C, or give this one a file of its own: "
            f"{Path(sys.executable).name} -m local cloud --outputs FILE"
        )
    outputs.unlink()


def _write(outputs: Path, addresses: Addresses, orders: Sequence[Order]) -> None:
    """Write them for their owner alone; raise ValueError if another cloud was faster."""
    outputs.parent.mkdir(exist_ok=True)
    values = asdict(addresses) | addresses.queue_names() | {"orders": [asdict(o) for o in orders]}
    _refuse_second_cloud(outputs)
    outputs.touch(mode=0o600, exist_ok=False)
    outputs.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _remove(outputs: Path, addresses: Addresses) -> None:
    """Remove them, unless they are another cloud's meanwhile."""
    if outputs.exists() and _read(outputs)[0] == addresses:
        outputs.unlink()


def _read(outputs: Path) -> tuple[Addresses, list[Order]]:
    if not outputs.exists():
        raise ValueError("No local cloud is running here: start one with `make cloud`.")
    values = json.loads(outputs.read_text(encoding="utf-8"))
    missing = {field.name for field in fields(Addresses)} - values.keys()
    if missing:
        raise ValueError(
            f"{os.path.relpath(outputs)} has no {', '.join(sorted(missing))}: another version of "
            "this repository wrote it. End its cloud, and delete the file."
        )
    addresses = Addresses(**{field.name: values[field.name] for field in fields(Addresses)})
    return addresses, [Order(**order) for order in values["orders"]]


class Interrupted(SystemExit):
    """Ctrl-C."""


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave, through every `finally`; an impatient second Ctrl-C must not leave servers behind."""
    for sign in _ENDING:
        signal.signal(sign, signal.SIG_IGN)
    raise (Interrupted if number == signal.SIGINT else SystemExit)(128 + number)


if __name__ == "__main__":
    sys.exit(main())
