"""Forward only, recorded, safe to run twice, safe to run at once from two places."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

import migration_handler
from local.servers.mariadb import MariaDBServer
from settlement import bootstrap
from settlement.adapters.migrations import (
    LOCK_NAME,
    Migration,
    MigrationError,
    migrate,
    read_migrations,
)
from settlement.domain.clock import Deadline
from settlement.errors import LedgerUnavailable
from tests.support.cachao import Cachao
from tests.support.invocations import AnyContext

NAMES = [f"{migration.number:04}_{migration.name}" for migration in read_migrations()]


@pytest.fixture
def bare(shared_server: MariaDBServer) -> Cachao:
    """The service's tables alone."""
    return Cachao(shared_server, migrated=False)


def run(
    cachao: Cachao,
    migrations: list[Migration] | None = None,
    seconds: float = 60,
    read_timeout: float = math.inf,
) -> list[str]:
    with closing(cachao.database(read_timeout=read_timeout)) as database:
        return migrate(database, Deadline(seconds), migrations=migrations)


def test_first_run_applies_every_migration_in_order(bare: Cachao) -> None:
    assert run(bare) == NAMES
    recorded = bare.query("SELECT number, name FROM settlement_migrations ORDER BY number")
    assert [f"{number:04}_{name}" for number, name in recorded] == NAMES


def test_second_run_changes_nothing(bare: Cachao) -> None:
    run(bare)
    before = bare.query("SELECT * FROM settlement_migrations")

    assert run(bare) == []
    assert bare.query("SELECT * FROM settlement_migrations") == before


def test_runs_at_once_apply_each_migration_once(bare: Cachao) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: run(bare), range(4)))

    assert sorted(name for names in applied for name in names) == NAMES


def test_statement_that_was_run_and_not_recorded_is_run_again(bare: Cachao) -> None:
    for number in (2, len(NAMES)):
        run(bare, read_migrations()[:number])
        bare.query("DELETE FROM settlement_migrations WHERE number = %s", number)

        assert run(bare, read_migrations()[:number]) == [NAMES[number - 1]]


def test_run_that_breaks_in_the_middle_goes_on_where_it_stopped(bare: Cachao) -> None:
    migrations = read_migrations()
    broken = replace(migrations[1], statement="CREATE TABLE oops (")
    with pytest.raises(LedgerUnavailable):
        run(bare, [migrations[0], broken, *migrations[2:]])

    assert run(bare) == NAMES[1:]


def test_migration_that_was_changed_after_it_was_applied_is_refused(bare: Cachao) -> None:
    run(bare)
    first, *others = read_migrations()
    changed = replace(first, statement=first.statement + " COMMENT = 'changed'")

    with pytest.raises(MigrationError, match="0001_settlements was changed after it was applied"):
        run(bare, [changed, *others])


def test_database_ahead_of_the_code_is_left_alone(bare: Cachao) -> None:
    run(bare)

    assert run(bare, read_migrations()[:1]) == []


def test_lock_that_is_held_elsewhere_is_waited_for_and_named(bare: Cachao) -> None:
    with closing(bare.connect()) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK({LOCK_NAME}, 0)")

        with pytest.raises(LedgerUnavailable, match="another run held the migrations' lock"):
            run(bare, seconds=1)


def test_lock_is_given_back_after_a_run_that_broke(bare: Cachao) -> None:
    with pytest.raises(LedgerUnavailable):
        run(bare, [replace(read_migrations()[0], statement="CREATE TABLE oops (")])

    assert run(bare) == NAMES


def test_every_migration_is_safe_to_run_again(bare: Cachao) -> None:
    for migration in read_migrations():
        bare.query(migration.statement)
        bare.query(migration.statement)


def test_lock_is_waited_for_longer_than_a_delivery_waits_for_an_answer(
    bare: Cachao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the handler, with the connection's patience shortened so that nobody has to wait."""
    monkeypatch.setattr(bootstrap, "READ_TIMEOUT_SECONDS", 0.1)
    settings = bare.settings()
    for name in ("host", "port", "name", "user", "password"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, name)))
    with closing(bare.connect()) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK({LOCK_NAME}, 0)")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(migration_handler.handler, {}, AnyContext())
            bare.wait_for_state("User lock")
            time.sleep(0.3)  # there is no event for a time-out that does not come
            cursor.execute("DO RELEASE_ALL_LOCKS()")

            assert applied.result()["applied"] == NAMES


def test_lock_of_another_schema_is_not_waited_for(bare: Cachao, cachao: Cachao) -> None:
    with closing(cachao.connect()) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK({LOCK_NAME}, 0)")

        assert run(bare, seconds=5) == NAMES


def test_nothing_is_changed_once_the_lock_is_lost(bare: Cachao) -> None:
    first, second, third, *_ = read_migrations()
    loses_it = replace(second, statement="DO RELEASE_ALL_LOCKS()")
    with pytest.raises(LedgerUnavailable, match="the migrations' lock was lost"):
        run(bare, [first, loses_it, third])

    assert bare.query("SHOW TABLES LIKE 'payment_anomalies'") == []


def test_connection_that_holds_the_lock_is_never_replaced(bare: Cachao) -> None:
    first, second, third, *_ = read_migrations()
    killed = replace(second, statement="KILL CONNECTION_ID()")
    with pytest.raises(LedgerUnavailable, match=r"1317|1927|2013"):
        run(bare, [first, killed, third])

    with closing(bare.database()) as database, database.session(Deadline(30)) as session:
        [[connection_id]] = session.query("SELECT CONNECTION_ID()")
        bare.query(f"KILL {connection_id}")
        with pytest.raises(LedgerUnavailable):
            session.query("DO 1")
        with pytest.raises(LedgerUnavailable, match="connection to the database was lost"):
            session.query("DO 1")


def test_statement_that_outlasts_the_time_is_undone_by_the_server(bare: Cachao) -> None:
    slow = Migration(1, "slow", "CREATE TABLE slow AS SELECT SLEEP(600) AS s")
    deadline = Deadline(4)
    with (
        closing(bare.database(read_timeout=math.inf)) as database,
        pytest.raises(LedgerUnavailable, match="1969"),
    ):
        migrate(database, deadline, migrations=[slow])

    assert deadline.remaining() > 0
    assert bare.query("SHOW TABLES LIKE 'slow'") == []
    assert bare.query("SELECT * FROM settlement_migrations") == []


FOREIGN = [
    "CREATE TABLE stripe_events (id INT PRIMARY KEY)",
    "CREATE TABLE settlements AS SELECT * FROM (SELECT 1 AS order_id) AS a",
    lambda: read_migrations()[0].statement.split(", PRIMARY KEY")[0] + ") ENGINE = InnoDB",
    lambda: read_migrations()[0].statement.replace("InnoDB", "Aria"),
]


@pytest.mark.parametrize("statement", FOREIGN, ids=["shop's", "other", "no keys", "Aria"])
def test_table_that_is_not_ours_stops_the_deployment_and_stays_as_it_is(
    bare: Cachao, statement: str | Callable[[], str]
) -> None:
    bare.query(statement if isinstance(statement, str) else statement())
    [table] = {"settlements", "stripe_events"} & {row[0] for row in bare.query("SHOW TABLES")}
    before = bare.query(f"SHOW CREATE TABLE {table}")
    for _ in range(2):
        with pytest.raises(MigrationError, match=f"there is a table {table} in this schema"):
            run(bare)

    assert bare.query(f"SHOW CREATE TABLE {table}") == before
    assert bare.query("SHOW TABLES LIKE '%probe'") == []
    bare.query(f"RENAME TABLE {table} TO the_shops_{table}")
    assert NAMES[2] in run(bare)
