"""PyMySQL's connection, made safe to keep: bounded by one deadline, ours alone, in step.

PyMySQL's time-outs are per read. Connecting and the first statement take about eight reads, so a
server that answers each a little late would hold a function for many times what one read may take.
"""

from __future__ import annotations

import os
import re
import select
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR, ER

from settlement.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from socket import socket

    from pymysql.cursors import Cursor

    from settlement.configuration import DatabaseSettings
    from settlement.domain.clock import Deadline

    _PyMySQL = pymysql.Connection[Cursor]
else:
    _PyMySQL = pymysql.Connection

CONNECT_TIMEOUT_SECONDS = 3.0
LOCK_WAIT_SECONDS = 2
"""MariaDB's defaults, 50 s for a row and a day for a table that an ALTER waits for, are longer than
API Gateway waits for an answer (29 s)."""

SESSION = (
    "SET SESSION tx_isolation = 'READ-COMMITTED', "
    "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
    "time_zone = '+00:00', "
    "group_concat_max_len = 1048576, "  # MariaDB's default; a server may have less
    # With it, a table that the statistics call empty, as after a restart, is read and locked whole.
    "join_cache_level = 0, "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
    # A function that freezes inside a transaction must not hold the order for longer.
    "idle_write_transaction_timeout = 10"
)
_CHUNK_BYTES = 1 << 16


class Connection(_PyMySQL):
    """A connection whose every wait, from the handshake on, ends with ``deadline``.

    Raises what PyMySQL raises: 2006 or 2013 with the deadline's ``TimeoutError`` as their cause.
    """

    _sock: socket  # these two are missing from PyMySQL's type stubs
    _force_close: Callable[[], None]

    def __init__(self, *, deadline: Deadline, read_timeout: float, **arguments: Any) -> None:
        self.deadline = deadline
        self._patience = read_timeout
        self._process = os.getpid()
        self._unread = bytearray()
        super().__init__(**arguments)  # without time-outs, so that it leaves the socket's to us
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)

    def is_usable(self) -> bool:
        """Whether a statement may be sent and what is read next will be its answer.

        Not after a fork, where two processes would read each other's answers; nor when something
        waits to be read, because nobody has asked: an answer too many, or the server's farewell.
        """
        return (
            self._process == os.getpid()
            and self.open
            and not self._unread
            and not self._poll.poll(0)
        )

    def close(self) -> None:
        """Say goodbye to the server and close; after a fork, in silence: the session is another's.

        Raises:
            pymysql.Error: it is closed already.
        """
        if self._process == os.getpid():
            super().close()
        else:
            self._force_close()

    def _read_bytes(self, num_bytes: int) -> bytes:
        try:
            while len(self._unread) < num_bytes:
                self._bound_next_wait()
                piece = self._sock.recv(_CHUNK_BYTES)
                if not piece:
                    raise ConnectionResetError
                self._unread += piece
        except OSError as error:
            self._force_close()
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, "") from error
        data = bytes(self._unread[:num_bytes])
        del self._unread[:num_bytes]
        return data

    def _write_bytes(self, data: bytes) -> None:
        if self._unread:  # before TLS begins, it could even come from another sender
            self._force_close()
            raise pymysql.OperationalError(CR.CR_COMMANDS_OUT_OF_SYNC, "")
        try:
            self._bound_next_wait()
            self._sock.sendall(data)
        except OSError as error:
            self._force_close()
            raise pymysql.OperationalError(CR.CR_SERVER_GONE_ERROR, "") from error

    def _bound_next_wait(self) -> None:
        seconds = min(self._patience, self.deadline.remaining())
        if seconds <= 0:
            raise TimeoutError
        self._sock.settimeout(seconds)


def connect(
    settings: DatabaseSettings,
    credentials: tuple[str, str],
    deadline: Deadline,
    *,
    read_timeout: float,
) -> Connection:
    """Open a connection with the session settings that every statement here relies on.

    Raises:
        pymysql.Error: the server or the way to it refused.
        ConfigurationError: the account signs in by a method that this driver does not have, or the
            server is no MariaDB, or too old.
    """
    user, password = credentials
    try:
        return Connection(
            deadline=deadline,
            read_timeout=read_timeout,
            host=settings.host,
            port=settings.port,
            database=settings.name,
            user=user,
            # As a client with a UTF-8 terminal sent it to CREATE USER; PyMySQL's own is Latin-1.
            password=password.encode(),
            charset="utf8mb4",
            autocommit=True,
            init_command=SESSION,
            # A quarter, for a name that stands for several addresses.
            connect_timeout=min(CONNECT_TIMEOUT_SECONDS, max(deadline.remaining(), 0.1) / 4),
            **_tls(settings.ca_file),
        )
    except RuntimeError as error:  # the driver's own words: a package that it needs and lacks
        raise ConfigurationError(_unsupported(str(error))) from None
    except pymysql.OperationalError as error:
        if error.args[0] == ER.UNKNOWN_SYSTEM_VARIABLE:
            raise ConfigurationError(
                "the server lacks a variable that MariaDB 10.6 or later has: name another server"
            ) from None
        if error.args[0] != CR.CR_AUTH_PLUGIN_CANNOT_LOAD:
            raise
        plugin = re.search(r"'b?'?(\w+)", str(error.args[1]))
        raise ConfigurationError(_unsupported(plugin[1] if plugin else "its plugin")) from None


def _unsupported(what: str) -> str:
    return (
        f"the database's user signs in by a method that the function does not have ({what}); "
        "give it mysql_native_password: ALTER USER … IDENTIFIED VIA mysql_native_password"
    )


def _tls(ca_file: Path | None) -> dict[str, Any]:
    if ca_file is None:
        return {"ssl_disabled": True}
    return {"ssl_ca": str(ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True}
