from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from local.servers.mariadb import MariaDBServer
from tests.support.cachao import Cachao
from tests.support.stripe_server import partner_events, stripe_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settlement.adapters.database import Database


__all__ = ["partner_events", "stripe_server"]


@pytest.fixture(scope="session")
def shared_server() -> Iterator[MariaDBServer]:
    """One server a test process, for tests that leave it as they found it."""
    with MariaDBServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[MariaDBServer]:
    """A server of the test's own, to be broken."""
    with MariaDBServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_cachao(shared_server: MariaDBServer) -> Cachao:
    return Cachao(shared_server)


@pytest.fixture
def cachao(shared_cachao: Cachao) -> Cachao:
    """The service's database, empty."""
    shared_cachao.clear()
    return shared_cachao


@pytest.fixture
def database(cachao: Cachao) -> Iterator[Database]:
    with closing(cachao.database()) as database:
        yield database
