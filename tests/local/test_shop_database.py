"""The local cloud's database: a throwaway server, or one that somebody named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pymysql
import pytest

from local.servers.mariadb import DatabaseAddress, MariaDBServer
from local.servers.shop_database import NamedDatabase, ShopDatabase, ThrowawayDatabase, named_in
from local.shop import Shop

NAMED = {"DB_HOST": "127.0.0.1", "DB_NAME": "shop", "DB_USER": "shop", "DB_PASSWORD": "any"}


@pytest.fixture(scope="module")
def named() -> Iterator[DatabaseAddress]:
    with MariaDBServer() as server:
        server.create_database("shop", user="shop", password="any")
        yield DatabaseAddress(
            host=server.host, port=server.port, name="shop", user="shop", password="any"
        )


@pytest.fixture(params=["throwaway", "named"])
def database(request: pytest.FixtureRequest, named: DatabaseAddress) -> Iterator[ShopDatabase]:
    chosen = ThrowawayDatabase() if request.param == "throwaway" else NamedDatabase(named)
    with closing(chosen):
        yield chosen


def test_nothing_answers_during_an_outage(database: ShopDatabase) -> None:
    database.start()
    database.stop()
    with pytest.raises(pymysql.err.OperationalError):
        Shop(database.address).create_tables()


def test_orders_are_there_again_after_an_outage_at_the_same_address(
    database: ShopDatabase,
) -> None:
    database.start()
    address = database.address
    shop = Shop(address)
    shop.create_tables()
    order = shop.add_order()
    database.stop()
    database.start()
    assert (database.address, shop.order(order.id)) == (address, order)


def test_shop_that_is_open_already_keeps_its_orders(database: ShopDatabase) -> None:
    database.start()
    Shop(database.address).create_tables()
    order = Shop(database.address).add_order()
    Shop(database.address).create_tables()
    assert Shop(database.address).order(order.id) == order


def test_database_on_another_machine_is_refused() -> None:
    address = DatabaseAddress(
        host="db.example.com", port=3306, name="any", user="any", password="any"
    )
    with pytest.raises(ValueError, match=r"DB_HOST is 'db.example.com'; .* on this machine"):
        NamedDatabase(address)


def test_no_database_is_named_without_a_host() -> None:
    assert named_in({"DB_PORT": "3307"}) is None


def test_named_database_has_mariadbs_port_unless_it_is_given() -> None:
    address = named_in(NAMED)
    assert address is not None
    assert (address.port, address.name) == (3306, "shop")


@pytest.mark.parametrize("missing", ["DB_NAME", "DB_USER", "DB_PASSWORD"])
def test_host_alone_names_no_database(missing: str) -> None:
    with pytest.raises(ValueError, match=f"needed too: {missing}"):
        named_in({name: value for name, value in NAMED.items() if name != missing})


@pytest.mark.parametrize("port", ["0", "65536", "mysql", "-1", "٣"])
def test_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match=r"DB_PORT is .* from 1 to 65535"):
        named_in({**NAMED, "DB_PORT": port})
