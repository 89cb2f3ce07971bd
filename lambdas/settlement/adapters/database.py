"""One connection to MariaDB: kept, replaced, retried. The one file that holds a cursor.

A statement here is a whole transaction that is safe to run again, so every fault has one of few
remedies: run it again, on this connection or a new one, or give up and say so. Whether a lost
answer meant a commit never has to be known.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import pymysql
from pymysql.constants import CR, ER

from settlement.errors import ConfigurationError, LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from settlement.adapters.secrets import Secret
    from settlement.configuration import DatabaseSettings
    from settlement.domain.clock import Deadline

Row = tuple[Any, ...]

CONNECT_TIMEOUT_SECONDS = 3.0
READ_TIMEOUT_SECONDS = 10.0
"""Longer than a transaction can wait for its locks: LOCK_WAIT_SECONDS for each of four rows."""
LOCK_WAIT_SECONDS = 2
"""MariaDB's default of 50 s is longer than API Gateway waits for an answer (29 s)."""
MAX_IDLE_SECONDS = 300.0
"""Below the 350 s after which a load balancer or NAT forgets a connection without a word."""
MAX_ATTEMPTS = 6
BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 1.0
LEAST_USEFUL_SECONDS = 0.1
"""Nothing is started with less than this left: it could not answer."""

SESSION = (
    "SET SESSION tx_isolation = 'READ-COMMITTED', "
    "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
    "time_zone = '+00:00', "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
    # A function that freezes inside a transaction must not hold the order for longer.
    "idle_write_transaction_timeout = 10"
)


ER_SIGNAL_EXCEPTION = 1644
ER_READ_ONLY_MODE = 1836
ER_CONNECTION_KILLED = 1927


class Remedy(Enum):
    """What helps against an error of the database."""

    RERUN = "the transaction was rolled back or can be; the connection is good"
    RECONNECT = "the connection, or the server behind it, is not to be used again"
    NEW_CREDENTIALS = "the password was refused: it may have been rotated"
    NONE = "running it again now would give the same error"


_REMEDIES: Mapping[int, Remedy] = {
    ER.LOCK_DEADLOCK: Remedy.RERUN,
    ER.LOCK_WAIT_TIMEOUT: Remedy.RERUN,
    ER.CHECKREAD: Remedy.RERUN,  # 1020, innodb_snapshot_isolation
    ER.QUERY_INTERRUPTED: Remedy.RERUN,
    CR.CR_CONNECTION_ERROR: Remedy.RECONNECT,
    CR.CR_CONN_HOST_ERROR: Remedy.RECONNECT,
    CR.CR_SERVER_GONE_ERROR: Remedy.RECONNECT,
    CR.CR_SERVER_LOST: Remedy.RECONNECT,
    ER_CONNECTION_KILLED: Remedy.RECONNECT,
    ER.SERVER_SHUTDOWN: Remedy.RECONNECT,
    ER.CON_COUNT_ERROR: Remedy.RECONNECT,
    ER.TOO_MANY_USER_CONNECTIONS: Remedy.RECONNECT,
    ER.USER_LIMIT_REACHED: Remedy.RECONNECT,
    # After a failover the connection lives on and its server is read-only.
    ER.OPTION_PREVENTS_STATEMENT: Remedy.RECONNECT,
    ER_READ_ONLY_MODE: Remedy.RECONNECT,
    # A proxy between us and the server has put another connection behind ours.
    ER.UNKNOWN_STMT_HANDLER: Remedy.RECONNECT,
    ER.ACCESS_DENIED_ERROR: Remedy.NEW_CREDENTIALS,
}


class Statement:
    """A described SQL file, prepared once a connection and executed in one round trip.

    Parsing a transaction of this size takes the server longer than running it. Its parameters are
    written ``%(name)s``, wherever and as often as they are needed.
    """

    def __init__(self, path: Path) -> None:
        names: list[str] = []

        def place(match: re.Match[str]) -> str:
            names.append(match[1])
            return "?"

        self.name = path.stem
        self.text = re.sub(r"%\((\w+)\)s", place, read_sql(path))
        self.prepare = f"PREPARE {self.name} FROM %(text)s"
        self.execute = f"EXECUTE {self.name} USING " + ", ".join(f"%({name})s" for name in names)


def read_sql(path: Path) -> str:
    """A described SQL file as one statement, without its comments and line breaks."""
    text = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", text).strip()


class Credentials(Protocol):
    """Who we are to the database."""

    def read(self, deadline: Deadline) -> tuple[str, str]:
        """User and password."""

    def read_again(self, deadline: Deadline) -> tuple[str, str] | None:
        """As they stand now; ``None`` where they cannot have changed."""


class FixedCredentials:
    """A user and password that stand in the environment."""

    def __init__(self, user: str, password: str) -> None:
        self._value = (user, password)

    def read(self, deadline: Deadline) -> tuple[str, str]:  # noqa: ARG002
        """See :class:`Credentials`."""
        return self._value

    def read_again(self, deadline: Deadline) -> tuple[str, str] | None:  # noqa: ARG002
        """See :class:`Credentials`."""
        return None


class StoredCredentials:
    """A secret with ``username`` and ``password``, as RDS keeps and rotates it."""

    def __init__(self, secret: Secret, *, user: str | None) -> None:
        self._secret = secret
        self._user = user

    def read(self, deadline: Deadline) -> tuple[str, str]:
        """See :class:`Credentials`."""
        return self._take(self._secret.read(deadline))

    def read_again(self, deadline: Deadline) -> tuple[str, str] | None:
        """See :class:`Credentials`."""
        value = self._secret.read_again(deadline)
        return None if value is None else self._take(value)

    def _take(self, value: Mapping[str, Any]) -> tuple[str, str]:
        # The secret's user first: rotation with alternating users changes it.
        user, password = value.get("username", self._user), value.get("password")
        if not isinstance(user, str) or not isinstance(password, str) or not user:
            raise ConfigurationError("the database secret must hold username and password")
        return user, password


class Database:
    """Runs transactions on one connection that outlives the invocation. Not for several threads."""

    def __init__(
        self,
        settings: DatabaseSettings,
        credentials: Credentials,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._monotonic = monotonic
        self._sleep = sleep
        self._connection: pymysql.Connection[Any] | None = None
        self._prepared: set[str] = set()
        self._read_timeout = READ_TIMEOUT_SECONDS
        self._last_used = 0.0

    def run(
        self, statement: Statement, parameters: Mapping[str, object], deadline: Deadline
    ) -> Row | None:
        """Run one statement that is a whole transaction, until its answer is known.

        Returns:
            The row it answered, or ``None`` where it answered none.

        Raises:
            LedgerUnavailable: no answer before the deadline or within the attempts; what the
                statement did is unknown, and running it again is safe.
            RetryableError: the credentials could not be read.
        """
        refused = False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._attempt(statement, parameters, deadline)
            except pymysql.Error as error:
                remedy, failure = _remedy(error), _describe(error)
                self._recover(remedy)
            if remedy is Remedy.NONE or attempt == MAX_ATTEMPTS:
                break
            if remedy is Remedy.NEW_CREDENTIALS:
                if refused or self._credentials.read_again(deadline) is None:
                    break
                refused = True
                continue
            pause = random.uniform(0, _backoff(attempt))  # noqa: S311 - jitter
            if deadline.remaining() - pause < LEAST_USEFUL_SECONDS:
                break
            self._sleep(pause)
        raise LedgerUnavailable(f"the database gave {failure} at attempt {attempt}")

    def query(
        self, statement: str, deadline: Deadline, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row]:
        """Run one statement once, on the kept connection, and return all rows.

        Raises:
            LedgerUnavailable: with the database's error.
        """
        try:
            return self._execute(self._connected(deadline), statement, parameters)
        except pymysql.Error as error:
            self.close()
            raise LedgerUnavailable(f"the database gave {_describe(error)}") from error

    def close(self) -> None:
        """Drop the connection. The server rolls back whatever was open on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.Error):  # it may be closed already
                connection.close()

    def _attempt(
        self, statement: Statement, parameters: Mapping[str, object], deadline: Deadline
    ) -> Row | None:
        connection = self._connected(deadline)
        if statement.name not in self._prepared:
            self._execute(connection, statement.prepare, {"text": statement.text})
            self._prepared.add(statement.name)
        rows = self._execute(connection, statement.execute, parameters)
        self._last_used = self._monotonic()
        return rows[0] if rows else None

    def _execute(
        self,
        connection: pymysql.Connection[Any],
        statement: str,
        parameters: Mapping[str, object] | None,
    ) -> Sequence[Row]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                rows: Sequence[Row] = cursor.fetchall() if cursor.description else ()
                return rows
        except pymysql.Error:
            raise
        except BaseException:
            self.close()  # an answer may still be on its way: never read it as the next one's
            raise

    def _connected(self, deadline: Deadline) -> pymysql.Connection[Any]:
        remaining = deadline.remaining()
        if remaining < LEAST_USEFUL_SECONDS:
            raise LedgerUnavailable("no time was left to ask the database")
        idle = self._monotonic() - self._last_used
        if idle > MAX_IDLE_SECONDS or self._read_timeout > remaining:
            self.close()
        if self._connection is None:
            self._connection = self._connect(deadline)
            self._prepared.clear()
            self._last_used = self._monotonic()
        return self._connection

    def _connect(self, deadline: Deadline) -> pymysql.Connection[Any]:
        settings = self._settings
        user, password = self._credentials.read(deadline)
        remaining = max(deadline.remaining(), LEAST_USEFUL_SECONDS)
        self._read_timeout = min(READ_TIMEOUT_SECONDS, remaining / 2)
        return pymysql.connect(
            host=settings.host,
            port=settings.port,
            database=settings.name,
            user=user,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            init_command=SESSION,
            connect_timeout=min(CONNECT_TIMEOUT_SECONDS, remaining / 4),
            read_timeout=self._read_timeout,
            write_timeout=self._read_timeout,
            **_tls(settings.ca_file),
        )

    def _recover(self, remedy: Remedy) -> None:
        """Leave no transaction open: a statement that was rolled back alone may have left one."""
        if remedy is not Remedy.RERUN or self._connection is None:
            self.close()
            return
        try:
            self._connection.rollback()
        except pymysql.Error:
            self.close()


def _tls(ca_file: Path | None) -> dict[str, Any]:
    if ca_file is None:
        return {"ssl_disabled": True}
    return {"ssl_ca": str(ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True}


def _backoff(attempt: int) -> float:
    """Full jitter below a doubling bound ("Exponential Backoff And Jitter", AWS blog)."""
    return min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * float(2**attempt))


def _remedy(error: pymysql.Error) -> Remedy:
    code = _code(error)
    if code == 0:  # PyMySQL's own: the connection is closed or its packets are out of order
        return Remedy.RECONNECT
    return _REMEDIES.get(code, Remedy.NONE)


def _code(error: pymysql.Error) -> int:
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def _describe(error: pymysql.Error) -> str:
    """Number and kind, and the text where the server's own words cannot hold a customer's data."""
    code = _code(error)
    text = error.args[1] if len(error.args) > 1 else ""
    is_ours = CR.CR_ERROR_FIRST <= code <= CR.CR_ERROR_LAST or code == ER_SIGNAL_EXCEPTION
    return f"{type(error).__name__} {code}" + (f" ({text})" if is_ours and text else "")
