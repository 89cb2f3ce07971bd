"""Apply the numbered migrations: forward only, recorded, safe to run twice and from two places.

A migration is one file with one statement that is safe to run again (``CREATE TABLE IF NOT
EXISTS``), because DDL commits by itself: if the process dies between a statement and its record,
the next run repeats the statement.
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
    from settlement.adapters.database import Database
    from settlement.domain.clock import Deadline

MIGRATIONS = Path(__file__).parents[1] / "migrations"
LOCK_NAME = "stripe_settlement_migrations"
LOCK_WAIT_SECONDS = 30

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
    """The migrations in order.

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

    Returns:
        The names of the migrations this call applied, in order; empty when there were none.

    Raises:
        MigrationError: an applied migration was changed afterwards.
        LedgerUnavailable: the database refused, or another run held the lock for too long.
    """
    if migrations is None:
        migrations = read_migrations()
    wait = int(min(LOCK_WAIT_SECONDS, max(deadline.remaining() / 2, 0)))
    if database.query(
        "SELECT GET_LOCK(%(name)s, %(wait)s)", deadline, {"name": LOCK_NAME, "wait": wait}
    ) != ((1,),):
        raise LedgerUnavailable(f"another run held the migrations' lock for {wait} s")
    try:
        return _apply(database, deadline, migrations)
    finally:
        database.close()  # which gives the lock back, also where the connection is broken


def _apply(database: Database, deadline: Deadline, migrations: list[Migration]) -> list[str]:
    database.query(_HISTORY, deadline)
    history = "SELECT number, checksum FROM settlement_migrations"
    applied: dict[int, str] = dict(database.query(history, deadline))
    names = []
    for migration in migrations:
        checksum = applied.get(migration.number)
        if checksum not in (None, migration.checksum):
            raise MigrationError(
                f"migration {migration.number:04}_{migration.name} was changed after it was "
                "applied; migrations run forward only: restore the file and add a new one"
            )
        if checksum is None:
            database.query(migration.statement, deadline)
            database.query(_RECORD, deadline, {**asdict(migration), "checksum": migration.checksum})
            names.append(f"{migration.number:04}_{migration.name}")
    return names
