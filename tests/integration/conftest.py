from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cache

import pytest

from local.servers.mariadb import MariaDBServer
from local.shop import ShopTables
from settlement.adapters.database import Database
from tests.support.cachao import OTHER_TABLES, Cachao
from tests.support.stripe_server import partner_events, stripe_server

__all__ = ["partner_events", "stripe_server"]


@pytest.fixture(scope="session", params=["OFF", "ON"], ids=["", "snapshot_isolation"])
def server_options(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Both ways in which servers isolate: ON is the default since MariaDB 11.6.2."""
    return {"loose_innodb_snapshot_isolation": request.param}


@pytest.fixture(scope="session")
def shared_server(server_options: Mapping[str, str]) -> Iterator[MariaDBServer]:
    """One server a test process, for tests that leave it as they found it."""
    with MariaDBServer(options=server_options) as server:
        yield server


@pytest.fixture
def server(server_options: Mapping[str, str]) -> Iterator[MariaDBServer]:
    """A server of the test's own, to be broken."""
    with MariaDBServer(options=server_options) as server:
        yield server


@pytest.fixture(scope="session")
def shop_of(shared_server: MariaDBServer) -> Callable[[ShopTables], Cachao]:
    """The database of a shop of that shape, made once."""
    return cache(lambda shape: Cachao(shared_server, tables=shape))


@pytest.fixture(scope="session")
def shared_cachao(shop_of: Callable[[ShopTables], Cachao]) -> Cachao:
    return shop_of(ShopTables())


@pytest.fixture
def shape() -> ShopTables:
    """The service's tables; another team's as well in a module marked ``both_shapes``."""
    return ShopTables()


@pytest.fixture
def cachao(shop_of: Callable[[ShopTables], Cachao], shape: ShopTables) -> Cachao:
    """The shop's database, empty."""
    cachao = shop_of(shape)
    cachao.clear()
    return cachao


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked ``both_shapes`` on both, unless they are about the service's tables only."""
    marked = metafunc.definition.get_closest_marker
    if "shape" in metafunc.fixturenames and marked("both_shapes") and not marked("service_tables"):
        metafunc.parametrize("shape", [ShopTables(), OTHER_TABLES], ids=["service", "other"])


@pytest.fixture
def database(cachao: Cachao) -> Iterator[Database]:
    with closing(cachao.database()) as database:
        yield database
