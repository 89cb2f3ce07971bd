"""Apply the numbered migrations: forward only, recorded, safe to run twice and from two places.

A migration is one file with one statement that is safe to run again (``CREATE TABLE IF NOT
EXISTS``), because DDL commits by itself: if the process dies between a statement and its record,
the next run repeats the statement. A table that is there already and unrecorded is taken for ours
only if it is what the migration would make: a shop may have a ``stripe_events`` of its own.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from settlement.adapters.database import read_sql
from settlement.errors import LedgerUnavailable, SettlementError

if TYPE_CHECKING:
    from settlement.adapters.database import Database, Session
    from settlement.domain.clock import Deadline

MIGRATIONS = Path(__file__).parents[1] / "migrations"
LOCK_NAME = "LEFT(CONCAT('stripe_settlement:', DATABASE()), 64)"
"""A lock is the server's, so its name holds the schema: two shops do not wait for each other."""
PROBE_TABLE = "settlement_migrations_probe"
RESERVE_SECONDS = 2.0
"""Before the deadline, when the server itself gives a statement up, so that nobody has to guess."""

_CREATED_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (?P<table>\w+)")
_FILE_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")
_HISTORY = """
CREATE TABLE IF NOT EXISTS settlement_migrations (
  number     SMALLINT     NOT NULL,
  name       VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  checksum   CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'SHA-256',
  applied_at DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6) COMMENT 'UTC',
  PRIMARY KEY (number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""
_RECORD = """
INSERT INTO settlement_migrations (number, name, checksum)
VALUES (%(number)s, %(name)s, %(checksum)s)
"""


class MigrationError(SettlementError):
    """The migrations on disk and those applied do not fit together. A person must look."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    statement: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statement; comments and layout may change, what it does may not."""
        return hashlib.sha256(self.statement.encode()).hexdigest()


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """Return the migrations in order.

    Raises:
        MigrationError: a file name or the numbering is wrong.
    """
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql")
        number = int(match["number"])
        if number != len(migrations) + 1:
            raise MigrationError(f"{path.name} should bear the number {len(migrations) + 1:04}")
        migrations.append(Migration(number, match["name"], read_sql(path)))
    return migrations


def migrate(
    database: Database, deadline: Deadline, *, migrations: list[Migration] | None = None
) -> list[str]:
    """Apply what has not been applied yet, under a lock of the server's.

    Args:
        database: Its `read_timeout` must not be shorter than a migration may take.
        deadline: Up to half of the time is waited for the lock; what the server has not finished
            shortly before the end, it rolls back.
        migrations: Those to apply; by default ours.

    Returns:
        The names of the migrations this call applied, in order; empty when there were none.

    Raises:
        MigrationError: an applied migration was changed afterwards, or a table is not ours.
        LedgerUnavailable: the database refused, another run held the lock for too long, or the
            connection that held it was lost.
    """
    if migrations is None:
        migrations = read_migrations()
    with database.session(deadline) as session:
        wait = max(deadline.remaining() / 2, 0)
        held = session.query(f"SELECT GET_LOCK({LOCK_NAME}, %(wait)s)", {"wait": wait})
        if held != ((1,),):
            raise LedgerUnavailable(f"another run held the migrations' lock for {wait:.0f} s")
        return _Run(session, deadline).apply(migrations)  # the session's end gives the lock back


class _Run:
    """One run, by the connection that holds the lock."""

    def __init__(self, session: Session, deadline: Deadline) -> None:
        self._session = session
        self._deadline = deadline

    def apply(self, migrations: list[Migration]) -> list[str]:
        self._change(_HISTORY)
        history = "SELECT number, checksum FROM settlement_migrations"
        applied: dict[int, str] = dict(self._session.query(history))
        names = []
        for migration in migrations:
            checksum = applied.get(migration.number)
            if checksum not in (None, migration.checksum):
                raise MigrationError(
                    f"migration {migration.number:04}_{migration.name} was changed after it was "
                    "applied; migrations run forward only: restore the file and add a new one"
                )
            if checksum is None:
                self._refuse_foreign_table(migration)
                self._change(migration.statement)
                self._session.query(_RECORD, {**asdict(migration), "checksum": migration.checksum})
                names.append(f"{migration.number:04}_{migration.name}")
        return names

    def _change(self, statement: str) -> None:
        """Run DDL for as long as there is time, if the lock is still this connection's.

        Behind a proxy that shares connections, the server's session may be another by now.
        """
        if self._session.query(f"SELECT IS_USED_LOCK({LOCK_NAME}) = CONNECTION_ID()") != ((1,),):
            raise LedgerUnavailable("the migrations' lock was lost")
        seconds = max(self._deadline.remaining() - RESERVE_SECONDS, 1)
        self._session.query(
            f"SET SESSION lock_wait_timeout = {int(seconds)}, max_statement_time = {seconds:.3f}"
        )
        self._session.query(statement)

    def _refuse_foreign_table(self, migration: Migration) -> None:
        match = _CREATED_TABLE.match(migration.statement)
        if match is None or not self._exists(match["table"]):
            return
        table = match["table"]
        self._change(f"DROP TABLE IF EXISTS {PROBE_TABLE}")
        self._change(migration.statement.replace(table, PROBE_TABLE, 1))
        expected = self._definition(PROBE_TABLE)
        self._change(f"DROP TABLE {PROBE_TABLE}")
        if self._definition(table) != expected:
            raise MigrationError(
                f"there is a table {table} in this schema that is not the settlement's: rename "
                "it, or, if an earlier version of the settlement left it, make it what migration "
                f"{migration.number:04}_{migration.name} creates"
            )

    def _exists(self, table: str) -> bool:
        return bool(
            self._session.query(
                "SELECT 1 FROM information_schema.TABLES "
                "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %(table)s",
                {"table": table},
            )
        )

    def _definition(self, table: str) -> str:
        """Return what makes the table what it is; not its name, nor how far it has counted."""
        [row] = self._session.query(f"SHOW CREATE TABLE {table}")
        definition = str(row[1]).removeprefix(f"CREATE TABLE `{table}`")
        return re.sub(r" AUTO_INCREMENT=[0-9]+", "", definition)
