"""The database of the local cloud: a throwaway server, or one that already runs on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

from local.servers.delaying_proxy import DelayingProxy
from local.servers.mariadb import DatabaseAddress, MariaDBServer

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class ShopDatabase(Protocol):
    """A database that can fail and come back, at the same address."""

    @property
    def address(self) -> DatabaseAddress:
        """Where it is, once it was started."""

    def start(self) -> None:
        """Start it, for the first time or after an outage."""

    def stop(self) -> None:
        """Begin an outage: nothing answers at its address. What it holds stays."""

    def close(self) -> None:
        """End it for good."""


class ThrowawayDatabase:
    """A MariaDB server of our own, with an empty database; all of it goes when it is closed."""

    def __init__(self) -> None:
        self.server: Final = MariaDBServer()
        self._password: Final = secrets.token_urlsafe(16)
        self._address: DatabaseAddress | None = None

    @property
    def address(self) -> DatabaseAddress:
        if self._address is None:
            raise RuntimeError("The database has no address before it is started.")
        return self._address

    def start(self) -> None:
        self.server.start()
        if self._address is None:
            self.server.create_database("cachao", user="cachao", password=self._password)
            self._address = DatabaseAddress(
                host=self.server.host,
                port=self.server.port,
                name="cachao",
                user="cachao",
                password=self._password,
            )

    def stop(self) -> None:
        self.server.stop()

    def close(self) -> None:
        self.server.close()


class NamedDatabase:
    """A server that runs already. Its outage is played by a proxy in front of it."""

    def __init__(self, named: DatabaseAddress) -> None:
        """
        Args:
            named: the server, a database in it that we may write into, and its user.

        Raises:
            ValueError: a server on another machine, which would be reached without TLS.
        """
        if named.host not in _LOOPBACK:
            raise ValueError(
                f"DB_HOST is {named.host!r}; the local cloud speaks to its database without TLS, "
                f"so it has to be on this machine: {' or '.join(_LOOPBACK)}. Leave DB_HOST unset "
                "for a throwaway server."
            )
        self._named: Final = named
        self._proxy: DelayingProxy | None = None
        self._port = 0

    @property
    def address(self) -> DatabaseAddress:
        return DatabaseAddress(
            host=DelayingProxy.host,
            port=self._port,
            name=self._named.name,
            user=self._named.user,
            password=self._named.password,
        )

    def start(self) -> None:
        if self._proxy is None:
            self._proxy = DelayingProxy(self._named.host, self._named.port, port=self._port)
            self._proxy.__enter__()
            self._port = self._proxy.port

    def stop(self) -> None:
        if self._proxy is not None:
            self._proxy.cut_all()
            self._proxy.__exit__()
            self._proxy = None

    def close(self) -> None:
        with suppress(OSError):
            self.stop()


def named_in(environment: Mapping[str, str]) -> DatabaseAddress | None:
    """Return the database that DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD name, if any.

    Raises:
        ValueError: DB_HOST without the others, or a port that is none.
    """
    host = environment.get("DB_HOST")
    if not host:
        return None
    needed = ("DB_NAME", "DB_USER", "DB_PASSWORD")
    if missing := [name for name in needed if not environment.get(name)]:
        raise ValueError(f"DB_HOST is set, so these are needed too: {', '.join(missing)}.")
    port = environment.get("DB_PORT") or "3306"
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"DB_PORT is {port!r}; allowed is a number from 1 to 65535.")
    return DatabaseAddress(
        host=host,
        port=int(port),
        name=environment["DB_NAME"],
        user=environment["DB_USER"],
        password=environment["DB_PASSWORD"],
    )
