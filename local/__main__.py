"""The local cloud's command line: `python -m local run`, `cloud` and `send`; `make` calls them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import boto3
import pymysql

from local.cloud import Addresses, LocalCloud, fake_stripe
from local.console import Show
from local.scenario import Story
from local.servers.cdk import REPOSITORY, CdkError
from local.servers.emulated_aws import EmulatedAWSError, Timing
from local.servers.mariadb import DatabaseAddress, MariaDBError
from local.servers.shop_database import NamedDatabase, ShopDatabase, named_in
from local.shop import Shop, ShopError
from local.waiting import WaitedInVain, wait_for

OUTPUTS: Final = REPOSITORY / ".local" / "outputs.json"
TIMING: Final = Timing(alarm_speed=100.0, async_retry_seconds=0.5)
"""An alarm's five minutes take three seconds; Lambda's first retry comes after half a second."""
_ORDERS: Final = 5
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="A MariaDB and an emulated AWS on free ports of 127.0.0.1, and this "
        "repository's app deployed into it by the real cdk CLI. All of it goes when it ends.",
        epilog="DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD name a MariaDB that runs on "
        "this machine already, instead of a throwaway one: its user must be allowed to create "
        "tables, and the orders that are made there stay. "
        "Exit codes: 0 everything came out as it must, or `cloud` was ended by Ctrl-C; 1 something "
        "did not; 2 usage; 130 Ctrl-C.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|cloud|send")
    commands.add_parser("run", help="deploy, play the story of payments and failures, and end")
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
        help="how the news comes (%(default)s)",
    )
    options = parser.parse_args(arguments)
    show = Show()
    for sign in _ENDING:
        signal.signal(sign, _end)
    try:
        if options.command == "run":
            return run(show)
        if options.command == "cloud":
            return stay(show, options.outputs)
        return pay(show, options.order, options.route, options.outputs)
    except pymysql.err.OperationalError as error:
        hint = " Is the cloud still running?" if options.command == "send" else ""
        print(f"The database does not answer: {error}.{hint}", file=sys.stderr)
        return 1
    except (
        *(ShopError, CdkError, EmulatedAWSError, MariaDBError, WaitedInVain),
        *(OSError, ValueError, pymysql.MySQLError),
    ) as error:
        print(error, file=sys.stderr)
        return 1


def run(show: Show) -> int:
    """Play the story. Answers 0 only if every scene came out as it must."""
    began = time.monotonic()
    with LocalCloud(database=_database(), timing=TIMING, watch=show.phase) as cloud:
        show.heading("The story")
        story = Story(cloud, watch=show.working, played=show.scene)
        story.play()
        show.heading("")
        show.scenes(story.scenes)
        show.orders(story.orders())
    show.verdict(story.scenes, seconds=time.monotonic() - began)
    return 0 if story.as_it_must else 1


def stay(show: Show, outputs: Path) -> int:
    """Keep a cloud, with some orders to pay, until Ctrl-C or SIGTERM.

    Its addresses are in `outputs` as long.
    """
    with LocalCloud(database=_database(), timing=TIMING, watch=show.phase) as cloud:
        first, *_, last = [cloud.shop.add_order().id for _ in range(_ORDERS)]
        _write(outputs, cloud.addresses)
        try:
            show.heading("Running until Ctrl-C")
            show.addresses(cloud.addresses, os.path.relpath(outputs))
            show.say(
                f"Orders {first} to {last} wait to be paid: "
                f"make send ORDER={first} ROUTE=eventbridge, or ROUTE=webhook"
            )
            with suppress(Interrupted):  # how it is meant to end
                threading.Event().wait()
        finally:
            _remove(outputs, cloud.addresses)
    return 0


def pay(show: Show, order_id: int, route: str, outputs: Path) -> int:
    """Pay an order in the cloud whose addresses are in `outputs`, and show what comes of it.

    Sent twice, it is the same payment twice.

    Raises:
        ValueError: no cloud is running.
        ShopError: there is no such order.
    """
    addresses = _read(outputs)
    shop = Shop(
        DatabaseAddress(
            host=addresses.db_host,
            port=addresses.db_port,
            name=addresses.db_name,
            user=addresses.db_user,
            password=addresses.db_password,
        )
    )
    order = shop.order(order_id)
    before = shop.state(order)
    events = boto3.client(
        "events",
        endpoint_url=addresses.endpoint_url,
        region_name=addresses.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator takes any
    )
    stripe = fake_stripe(addresses, events)
    event = stripe.paid(order)
    if route == "webhook":
        answer = stripe.post(event)
        show.say(f"The webhook answered {answer.status} {answer.outcome}.")
    else:
        stripe.publish(event)
        show.say("EventBridge took the event.")
        wait_for(
            lambda: shop.state(order).settlements or None,
            f"order {order_id} to be settled",
        )
    after = shop.state(order)
    show.say(
        f"Order {order_id}: {before.status} → {after.status}, "
        f"sold {before.sold} → {after.sold}, code used {before.used} → {after.used}, "
        f"settled by {after.route or 'nothing'}."
    )
    return 0 if after.settlements == 1 else 1


def _database() -> ShopDatabase | None:
    named = named_in(os.environ)
    return NamedDatabase(named) if named else None


def _write(outputs: Path, addresses: Addresses) -> None:
    outputs.parent.mkdir(exist_ok=True)
    outputs.touch(mode=0o600)
    values = asdict(addresses) | addresses.queue_names()
    outputs.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _remove(outputs: Path, addresses: Addresses) -> None:
    """Another cloud may have written its own meanwhile."""
    if outputs.exists() and _read(outputs) == addresses:
        outputs.unlink()


def _read(outputs: Path) -> Addresses:
    if not outputs.exists():
        raise ValueError("No local cloud is running here: start one with `make cloud`.")
    values = json.loads(outputs.read_text(encoding="utf-8"))
    return Addresses(**{field.name: values[field.name] for field in fields(Addresses)})


class Interrupted(SystemExit):
    """Ctrl-C."""


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave, through every `finally`; an impatient second Ctrl-C must not leave servers behind."""
    for sign in _ENDING:
        signal.signal(sign, signal.SIG_IGN)
    raise (Interrupted if number == signal.SIGINT else SystemExit)(128 + number)


if __name__ == "__main__":
    sys.exit(main())
