"""One connection to MariaDB: kept, replaced, retried. The one file that holds a cursor.

A statement here is a whole transaction that is safe to run again, so every fault has one of few
recovery actions: run it again, on this connection or a new one, or give up and say so. Whether a
lost answer meant a commit never has to be known.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pymysql
from pymysql.constants import CR, ER

from settlement.adapters.connection import connect
from settlement.adapters.templates import render
from settlement.errors import ConfigurationError, LedgerUnavailable, StatementRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from settlement.adapters.connection import Connection
    from settlement.adapters.templates import Words
    from settlement.configuration import DatabaseSettings
    from settlement.domain.clock import Deadline

Row = tuple[Any, ...]


class Response(NamedTuple):
    """What the database returned for a statement."""

    row: Row | None
    """The first row; ``None`` where it returned none."""
    changed: int
    """Rows that all its statements together have changed; 0 where it returned a row."""


READ_TIMEOUT_SECONDS = 10.0
"""Longer than a transaction can wait for its locks: LOCK_WAIT_SECONDS for each of four rows."""
MAX_IDLE_SECONDS = 300.0
"""Below the 350 s after which a load balancer or NAT forgets a connection without a word."""
MAX_ATTEMPTS = 6
BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 1.0
MIN_USEFUL_SECONDS = 0.1
"""Nothing is started with less than this left: it could not answer."""

ER_MAX_PREPARED_STMT_COUNT_REACHED = 1461
ER_SIGNAL_NOT_FOUND = 1643
ER_SIGNAL_EXCEPTION = 1644
ER_READ_ONLY_MODE = 1836
ER_CONNECTION_KILLED = 1927


class RecoveryAction(Enum):
    """What helps against an error of the database."""

    RERUN = "the transaction was rolled back or can be; the connection is good"
    RECONNECT = "the connection, or the server behind it, is not to be used again"
    NEW_CREDENTIALS = "the password was refused: it may have been rotated"
    NONE = "running it again now would give the same error"


_RECOVERY_ACTIONS: Mapping[int, RecoveryAction] = {
    ER.LOCK_DEADLOCK: RecoveryAction.RERUN,
    ER.LOCK_WAIT_TIMEOUT: RecoveryAction.RERUN,
    ER.CHECKREAD: RecoveryAction.RERUN,  # 1020, innodb_snapshot_isolation
    ER.QUERY_INTERRUPTED: RecoveryAction.RERUN,
    CR.CR_CONNECTION_ERROR: RecoveryAction.RECONNECT,
    CR.CR_CONN_HOST_ERROR: RecoveryAction.RECONNECT,
    CR.CR_SERVER_GONE_ERROR: RecoveryAction.RECONNECT,
    CR.CR_SERVER_LOST: RecoveryAction.RECONNECT,
    CR.CR_COMMANDS_OUT_OF_SYNC: RecoveryAction.RECONNECT,
    ER_CONNECTION_KILLED: RecoveryAction.RECONNECT,
    ER.SERVER_SHUTDOWN: RecoveryAction.RECONNECT,
    ER.CON_COUNT_ERROR: RecoveryAction.RECONNECT,
    ER.TOO_MANY_USER_CONNECTIONS: RecoveryAction.RECONNECT,
    ER.USER_LIMIT_REACHED: RecoveryAction.RECONNECT,
    # After a failover the connection lives on and its server is read-only.
    ER.OPTION_PREVENTS_STATEMENT: RecoveryAction.RECONNECT,
    ER_READ_ONLY_MODE: RecoveryAction.RECONNECT,
    ER.UNKNOWN_COM_ERROR: RecoveryAction.RECONNECT,  # Galera: the node has left its cluster
    # A proxy between us and the server has put another connection behind ours.
    ER.UNKNOWN_STMT_HANDLER: RecoveryAction.RECONNECT,
    ER.ACCESS_DENIED_ERROR: RecoveryAction.NEW_CREDENTIALS,
}


_LASTING = frozenset(
    {
        ER.BAD_NULL_ERROR,
        ER.DUP_KEY,
        ER.DUP_ENTRY,
        ER.WRONG_VALUE_COUNT_ON_ROW,
        ER.REGEXP_ERROR,
        ER.DUP_UNIQUE,
        ER.TOO_MANY_ROWS,
        ER.NO_REFERENCED_ROW,
        ER.ROW_IS_REFERENCED,
        ER.SUBQUERY_NO_1_ROW,
        ER.CANT_AGGREGATE_2COLLATIONS,  # the payer's address has a letter that its column lacks
        ER.SP_CASE_NOT_FOUND,
        ER.NO_DEFAULT_FOR_FIELD,
        ER.SP_RECURSION_LIMIT,
        ER.WARN_DATA_OUT_OF_RANGE,
        ER.WARN_DATA_TRUNCATED,
        ER.TRUNCATED_WRONG_VALUE,
        ER.DIVISION_BY_ZERO,
        ER.TRUNCATED_WRONG_VALUE_FOR_FIELD,
        ER.DATA_TOO_LONG,
        ER.CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG,
        ER.ROW_IS_REFERENCED_2,
        ER.NO_REFERENCED_ROW_2,
        1526,  # ER_NO_PARTITION_FOR_GIVEN_VALUE
        ER_SIGNAL_NOT_FOUND,
        ER_SIGNAL_EXCEPTION,
        1690,  # ER_DATA_OUT_OF_RANGE
        1761,  # ER_FOREIGN_DUPLICATE_KEY_WITH_CHILD_INFO
        1762,  # ER_FOREIGN_DUPLICATE_KEY_WITHOUT_CHILD_INFO
        3819,  # ER_CHECK_CONSTRAINT_VIOLATED, MySQL's number
        4025,  # ER_CONSTRAINT_FAILED
        4084,  # ER_SEQUENCE_RUN_OUT
    }
)
"""Errors whose cause is the row, or a rule of the table's: every delivery would meet them again."""
MIN_NUMBER_OF_A_TRIGGER = 5000
"""The server's own errors end below; a trigger may signal with any number."""


class Statement:
    """A described SQL file, prepared once a connection and executed in one round trip.

    Parsing a transaction of this size takes the server longer than running it. Its parameters are
    written ``%(name)s``, wherever and as often as they are needed.
    """

    def __init__(self, path: Path, words: Words | None = None) -> None:
        """
        Args:
            path: The file.
            words: What the names in braces stand for.
        """
        names: list[str] = []

        def place(match: re.Match[str]) -> str:
            names.append(match[1])
            return "?"

        self.text = re.sub(r"%\((\w+)\)s", place, read_sql(path, words))
        # Behind a proxy that shares connections, another version of this code may have prepared its
        # own text under the file's name.
        self.name = f"{path.stem}_{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"
        using = " USING " + ", ".join(f"%({name})s" for name in names)
        self.prepare = f"PREPARE {self.name} FROM %(statement_text)s"
        self.execute = f"EXECUTE {self.name}{using}"
        self.execute_unprepared = f"EXECUTE IMMEDIATE %(statement_text)s{using}"


def read_sql(path: Path, words: Words | None = None) -> str:
    """Return a described SQL file as one statement, without its comments and line breaks."""
    return render(path.read_text(encoding="utf-8"), words or {})


class Credentials(Protocol):
    """Who we are to the database: a :class:`~settlement.adapters.secrets.Secret`, or fixed."""

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


def credentials_of(value: Mapping[str, Any], *, user: str | None) -> tuple[str, str]:
    """User and password of a database secret as RDS keeps and rotates it.

    Args:
        value: The secret, with ``password`` and, unless ``user`` is given, ``username``.
        user: Used where the secret names none; alternating rotation changes the secret's.

    Raises:
        ConfigurationError: naming the key that is missing or no text.
    """
    name, password = value.get("username", user), value.get("password")
    if not isinstance(name, str) or not name:
        raise ConfigurationError("the key 'username' must hold the name of the database's user")
    if not isinstance(password, str):
        raise ConfigurationError("the key 'password' must hold the password of the database's user")
    return name, password


class Database:
    """Runs transactions on one connection that outlives the invocation. Not for several threads."""

    def __init__(
        self,
        settings: DatabaseSettings,
        credentials: Credentials,
        *,
        read_timeout: float = READ_TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            settings: Where the database is.
            credentials: Read when a connection is made.
            read_timeout: Seconds to wait for one answer, within the deadline; infinite for DDL.
            monotonic: The clock of idle connections.
            sleep: Pauses between attempts.
        """
        self._settings = settings
        self._credentials = credentials
        self._read_timeout = read_timeout
        self._monotonic = monotonic
        self._sleep = sleep
        self._connection: Connection | None = None
        self._prepared: set[str] = set()
        self._last_used = 0.0
        self._description: Sequence[Sequence[Any]] | None = None

    def run(
        self, statement: Statement, parameters: Mapping[str, object], deadline: Deadline
    ) -> Response:
        """Run one statement that is a whole transaction, until its response is known.

        Raises:
            StatementRefused: running it again now would give the same error.
            LedgerUnavailable: no answer before the deadline or within the attempts; what the
                statement did is unknown, and running it again is safe.
            RetryableError: the credentials could not be read.
        """
        refused = False
        failures: dict[str, None] = {}
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._attempt(statement, parameters, deadline)
            except pymysql.Error as error:
                action, number = _recovery_action(error), _code(error)
                where = _in_our_words(error, statement.text)
                failures[_describe(error, ours=statement.text)] = None
                self._recover(action)
            if action is RecoveryAction.NONE or attempt == MAX_ATTEMPTS:
                break
            if action is RecoveryAction.NEW_CREDENTIALS:
                if refused or self._credentials.read_again(deadline) is None:
                    break
                refused = True
                continue
            pause = random.uniform(0, _backoff(attempt))  # noqa: S311 - jitter
            if deadline.remaining() - pause < MIN_USEFUL_SECONDS:
                break
            self._sleep(pause)
        # All of them: the last may only be the deadline's, the first says what was waited for.
        said = ", then ".join(failures)
        message = f"the database gave {said} at attempt {attempt}"
        if action is not RecoveryAction.NONE:
            raise LedgerUnavailable(message)
        lasts = number in _LASTING or number >= MIN_NUMBER_OF_A_TRIGGER
        raise StatementRefused(message, number=number, where=where, lasts=lasts)

    def query(
        self, statement: str, deadline: Deadline, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row]:
        """Run one statement once, on the kept connection, and return all rows.

        Raises:
            LedgerUnavailable: with the database's error.
        """
        try:
            rows, _ = self._execute(self._connected(deadline), statement, parameters)
        except pymysql.Error as error:
            failure = _describe(error, ours=statement)
            self.close()
            raise LedgerUnavailable(f"the database gave {failure}") from None
        return rows

    @contextmanager
    def session(self, deadline: Deadline) -> Iterator[Session]:
        """One connection that is never replaced, for what ends with it, as a lock does.

        Raises:
            LedgerUnavailable: the database refused the connection.
        """
        try:
            connection = self._connected(deadline)
        except pymysql.Error as error:
            raise LedgerUnavailable(f"the database gave {_describe(error)}") from None
        try:
            yield Session(self, connection)
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection. The server rolls back whatever was open on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.Error):  # it may be closed already
                connection.close()

    def _attempt(
        self, statement: Statement, parameters: Mapping[str, object], deadline: Deadline
    ) -> Response:
        connection = self._connected(deadline)
        execute = statement.execute
        if statement.name not in self._prepared and not self._prepare(connection, statement):
            execute = statement.execute_unprepared
            parameters = {**parameters, "statement_text": statement.text}
        rows, changed = self._execute(connection, execute, parameters)
        self._last_used = self._monotonic()
        return Response(rows[0], 0) if rows else Response(None, changed)

    def _prepare(self, connection: Connection, statement: Statement) -> bool:
        """Prepare it on this connection; False while all clients together may prepare no more."""
        try:
            self._execute(connection, statement.prepare, {"statement_text": statement.text})
        except pymysql.Error as error:
            if _code(error) != ER_MAX_PREPARED_STMT_COUNT_REACHED:
                raise
            return False
        self._prepared.add(statement.name)
        return True

    def _execute(
        self,
        connection: Connection,
        statement: str,
        parameters: Mapping[str, object] | None,
    ) -> tuple[Sequence[Row], int]:
        """Return the rows, and how many it changed where it returned none."""
        try:
            with connection.cursor() as cursor:
                changed = cursor.execute(statement, parameters)
                self._description = cursor.description
                rows: Sequence[Row] = cursor.fetchall() if cursor.description else ()
                return rows, changed
        except pymysql.Error:
            raise
        except BaseException:
            self.close()  # an answer may still be on its way: never read it as the next one's
            raise

    def _connected(self, deadline: Deadline) -> Connection:
        if deadline.remaining() < MIN_USEFUL_SECONDS:
            raise LedgerUnavailable("no time was left to ask the database")
        idle = self._monotonic() - self._last_used
        if self._connection and (idle > MAX_IDLE_SECONDS or not self._connection.is_usable()):
            self.close()
        if self._connection is None:
            credentials = self._credentials.read(deadline)
            self._connection = connect(
                self._settings, credentials, deadline, read_timeout=self._read_timeout
            )
            self._prepared.clear()
            self._last_used = self._monotonic()
        self._connection.deadline = deadline
        return self._connection

    def _recover(self, action: RecoveryAction) -> None:
        """Leave no transaction open: a statement that was rolled back alone may have left one."""
        if action is not RecoveryAction.RERUN or self._connection is None:
            self.close()
            return
        try:
            self._connection.rollback()
        except pymysql.Error:
            self.close()


class Session:
    """What :meth:`Database.session` gives."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    def query(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row]:
        """Run one statement once and return all rows.

        Raises:
            LedgerUnavailable: with the database's error, or because the connection was lost.
        """
        if not self._connection.is_usable():
            raise LedgerUnavailable("the connection to the database was lost")
        try:
            rows, _ = self._database._execute(  # noqa: SLF001
                self._connection, statement, parameters
            )
        except pymysql.Error as error:
            failure = _describe(error, ours=statement)
            raise LedgerUnavailable(f"the database gave {failure}") from None
        return rows

    def table(
        self, statement: str, parameters: Mapping[str, object]
    ) -> tuple[list[str], Sequence[Row]]:
        """Run one reading statement and return its columns' names and its rows.

        Raises:
            LedgerUnavailable: with the database's error, or because the connection was lost.
        """
        rows = self.query(statement, parameters)
        return [str(each[0]) for each in self._database._description or ()], rows  # noqa: SLF001

    def try_out(self, statement: str) -> DatabaseError | None:
        """Run one statement, take back whatever it did, and return the database's error, if any.

        Raises:
            LedgerUnavailable: the connection was lost.
        """
        self.query("START TRANSACTION")
        found: DatabaseError | None = None
        try:
            self._database._execute(self._connection, statement, None)  # noqa: SLF001
        except pymysql.Error as error:
            found = DatabaseError(_code(error), _describe(error))
        self.query("ROLLBACK")
        return found


class DatabaseError(NamedTuple):
    """An error of the database, in our words."""

    number: int
    text: str

    def __str__(self) -> str:
        return self.text


def _backoff(attempt: int) -> float:
    """Full jitter below a doubling bound ("Exponential Backoff And Jitter", AWS blog)."""
    return min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * float(2**attempt))


def _recovery_action(error: pymysql.Error) -> RecoveryAction:
    code = _code(error)
    if code == 0:  # PyMySQL's own: the connection is closed or its packets are out of order
        return RecoveryAction.RECONNECT
    return _RECOVERY_ACTIONS.get(code, RecoveryAction.NONE)


def _code(error: pymysql.Error) -> int:
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def _describe(error: pymysql.Error, *, ours: str = "") -> str:
    """Kind, number, the number's name, and the cause of what never reached the server.

    The server's words are repeated only where they stand in the statement itself: others may quote
    a row, and a shop's trigger may say anything, under any number.
    """
    code, cause = _code(error), error.__cause__ or error.__context__
    words = [_name(code), _in_our_words(error, ours)]
    if isinstance(cause, OSError):
        # OpenSSL's reason, e.g. CERTIFICATE_VERIFY_FAILED, and what it could not verify.
        tls = [getattr(cause, name, None) for name in ("reason", "verify_message")]
        words += [type(cause).__name__, *filter(None, tls)]
    said = ", ".join(filter(None, words))
    return f"{type(error).__name__} {code}" + (f" ({said})" if said else "")


def _in_our_words(error: pymysql.Error, statement: str) -> str:
    """Return the error's text if it stands in the statement, or else nothing."""
    text = error.args[1] if len(error.args) > 1 else ""
    return text if text and f"'{text}'" in statement else ""


def _name(code: int) -> str:
    """Return the name that the server's documentation lists the number under, e.g. ER_DUP_ENTRY."""
    names = {value: f"ER_{name}" for name, value in vars(ER).items() if isinstance(value, int)}
    names |= {value: name for name, value in vars(CR).items() if isinstance(value, int)}
    return names.get(code, "")
