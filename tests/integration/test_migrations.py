"""Forward only, recorded, safe to run twice, safe to run at once from two places."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

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

if TYPE_CHECKING:
    from local.servers.mariadb import MariaDBServer

NAMES = ["0001_settlements", "0002_stripe_events", "0003_payment_anomalies"]


@pytest.fixture
def bare(shared_server: MariaDBServer) -> Cachao:
    """The service's tables alone."""
    return Cachao(shared_server, migrated=False)


def run(
    cachao: Cachao, migrations: list[Migration] | None = None, seconds: float = 60
) -> list[str]:
    with closing(cachao.database()) as database:
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
    run(bare)
    bare.query("DELETE FROM settlement_migrations WHERE number = 2")

    assert run(bare) == [NAMES[1]]


def test_run_that_breaks_in_the_middle_goes_on_where_it_stopped(bare: Cachao) -> None:
    migrations = read_migrations()
    broken = replace(migrations[1], statement="CREATE TABLE oops (")
    with pytest.raises(LedgerUnavailable):
        run(bare, [migrations[0], broken, migrations[2]])

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
        cursor.execute("SELECT GET_LOCK(%s, 0)", (LOCK_NAME,))

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
