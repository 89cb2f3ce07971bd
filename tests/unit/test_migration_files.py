"""The migrations are numbered, safe to run again, and keep Stripe's ids byte by byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from settlement.adapters.migrations import MIGRATIONS, Migration, MigrationError, read_migrations

OURS = read_migrations()


def test_they_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.number for migration in OURS] == list(range(1, len(OURS) + 1))
    assert len(OURS) == len(list(MIGRATIONS.iterdir()))


@pytest.mark.parametrize("migration", OURS, ids=lambda migration: migration.name)
def test_each_is_one_statement_that_is_safe_to_run_again(migration: Migration) -> None:
    without_texts = re.sub(r"'[^']*'", "''", migration.statement)
    assert ";" not in without_texts
    if not without_texts.startswith("CREATE TABLE IF NOT EXISTS"):
        changes = re.split(r",(?![^(]*\))", without_texts.partition("ALTER TABLE ")[2])
        verbs = [re.sub(r"^\w+ (?=MODIFY|ADD)", "", change.strip()) for change in changes]
        assert verbs
        assert all(
            re.match(r"MODIFY |ADD (COLUMN|INDEX) IF NOT EXISTS ", verb) for verb in verbs
        ), verbs


@pytest.mark.parametrize("migration", OURS, ids=lambda migration: migration.name)
def test_no_table_has_a_foreign_key(migration: Migration) -> None:
    assert not re.search(r"\b(REFERENCES|FOREIGN)\b", migration.statement, re.IGNORECASE)


@pytest.mark.parametrize("migration", OURS, ids=lambda migration: migration.name)
def test_every_id_of_stripes_is_compared_byte_by_byte(migration: Migration) -> None:
    columns = re.findall(
        r"\b(\w*(?:intent_id|session_id|event_id))\s+(VARCHAR[^,]*)", migration.statement
    )
    holds_none = migration.name == "reconciliation"
    assert columns or holds_none or not migration.statement.startswith("CREATE")
    for name, definition in columns:
        assert "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin" in definition, name


def test_once_released_a_migration_is_never_changed() -> None:
    """Forward only: a changed statement would stop every deployment that has applied it."""
    assert {migration.name: migration.checksum for migration in OURS} == {
        "settlements": "2b723e6dbcc601b983310cf5e1e3df9e4ab4ee66ff3975e445647cd328ca9b19",
        "stripe_events": "1f093d6efcf030cd465ff106120be6020b4f180f2bb4680cf2e98c0a004d8843",
        "payment_anomalies": "f394752650661cec36a97e75807f68230b678c6e8d094d951e56a6397c24c965",
        "settlements_ids": "9299f25559e99a9aef50f7d8543c754391b8e623fb529ba752d0b76e19a098f3",
        "payment_anomalies_resolution": (
            "b1dfadac8712a61456199fc079e8d79163755852b498194587b253849d6c26d6"
        ),
        "stripe_events_order": "9cd6a493a4677a28248fa6ddd6464982e37889a56a00212fcf245428a786a788",
        "reconciliation": "ebb991257e647dfec80080e090c0b6a79562ade702df3ce6fc3d955b6de76b00",
    }


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.sql").write_text(text, encoding="utf-8")
    return directory


def test_comments_and_layout_do_not_change_a_migration(tmp_path: Path) -> None:
    plain, described = tmp_path / "plain", tmp_path / "described"
    for directory in (plain, described):
        directory.mkdir()
    write(plain, **{"0001_a": "CREATE TABLE a (id INT)"})
    write(described, **{"0001_a": "-- why\nCREATE TABLE a\n  (id   INT) -- which\n"})
    assert read_migrations(plain) == read_migrations(described)
    assert read_migrations(plain)[0].checksum == read_migrations(described)[0].checksum


def test_they_come_in_order(tmp_path: Path) -> None:
    write(tmp_path, **{"0002_b": "SELECT 2", "0001_a": "SELECT 1"})
    assert [migration.name for migration in read_migrations(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["0002_b"], "0002_b.sql should bear the number 0001"),
        (["0001_a", "0003_c"], "0003_c.sql should bear the number 0002"),
        (["0001_a", "0001_b"], "0001_b.sql should bear the number 0002"),
        (["1_a"], "is not named like"),
        (["0001-a"], "is not named like"),
        (["0001_A"], "is not named like"),
    ],
)
def test_a_wrong_name_or_number_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    write(tmp_path, **dict.fromkeys(names, "SELECT 1"))
    with pytest.raises(MigrationError, match=says):
        read_migrations(tmp_path)
