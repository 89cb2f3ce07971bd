"""What the deployment gets back."""

from __future__ import annotations

import pytest

import migration_handler
from settlement.adapters import secrets
from settlement.adapters.database import Database
from settlement.domain.clock import Deadline
from settlement.errors import ConfigurationError, LedgerUnavailable, SecretUnavailable
from tests.support.invocations import AnyContext
from tests.support.output import Process

pytestmark = pytest.mark.usefixtures("database_settings", "database_that_fits")


@pytest.fixture
def database_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is verified of a real one, tests/integration shows."""
    monkeypatch.setattr(migration_handler, "verify", lambda *_, **__: [])


def test_the_names_of_what_was_applied_are_returned(
    monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    def migrate(_database: Database, deadline: Deadline) -> list[str]:
        assert deadline.remaining() <= 24.5
        return ["0001_settlements"]

    monkeypatch.setattr(migration_handler, "migrate", migrate)
    answer = process.run(migration_handler.handler, {}, AnyContext())
    assert answer["applied"] == ["0001_settlements"]
    assert [line["applied"] for line in process.output().logs] == [["0001_settlements"]]


def test_a_failure_stops_the_deployment(monkeypatch: pytest.MonkeyPatch, process: Process) -> None:
    def migrate(_database: Database, _deadline: Deadline) -> list[str]:
        raise LedgerUnavailable("why")

    monkeypatch.setattr(migration_handler, "migrate", migrate)
    with pytest.raises(LedgerUnavailable, match="why"):
        process.run(migration_handler.handler, {}, AnyContext())


def test_a_missing_setting_stops_the_deployment(
    monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    monkeypatch.delenv("DB_HOST")
    with pytest.raises(ConfigurationError, match="DB_HOST"):
        process.run(migration_handler.handler, {}, AnyContext())


class Stack:
    """CloudFormation, as far as it looks after the resource; the database can be down."""

    def __init__(self, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
        self._process = process
        self._physical_id: str | None = None
        self.down = False
        monkeypatch.setattr(migration_handler, "migrate", self._migrate)

    def _migrate(self, _database: Database, _deadline: Deadline) -> list[str]:
        if self.down:
            raise LedgerUnavailable("down")
        return []

    def ask(self, kind: str, database: str) -> None:
        request = {
            "RequestType": kind,
            "PhysicalResourceId": self._physical_id,
            "ResourceProperties": {
                "ServiceToken": "arn:any",
                "ServiceTimeout": "330",
                "Environment": {"DB_NAME": database},
            },
        }
        answer = self._process.run(migration_handler.handler, request, AnyContext())
        self._physical_id = answer["PhysicalResourceId"]


@pytest.fixture
def stack(process: Process, monkeypatch: pytest.MonkeyPatch) -> Stack:
    return Stack(process, monkeypatch)


def test_a_rollback_of_a_failed_migration_is_not_held_up_by_a_database_that_is_down(
    stack: Stack, process: Process
) -> None:
    stack.ask("Create", "a")
    stack.down = True
    with pytest.raises(LedgerUnavailable):
        stack.ask("Update", "b")
    stack.ask("Update", "a")
    [*_, line] = process.output().logs
    assert (line["level"], line["reason"]) == ("ERROR", "down")


def test_a_rollback_of_what_came_after_the_migration_is_not_held_up_either(stack: Stack) -> None:
    stack.ask("Create", "a")
    stack.ask("Update", "b")
    stack.down = True
    stack.ask("Update", "a")


def test_another_attempt_at_what_was_rolled_back_is_no_way_back(stack: Stack) -> None:
    stack.ask("Create", "a")
    stack.ask("Update", "b")
    stack.ask("Update", "a")
    stack.down = True
    with pytest.raises(LedgerUnavailable):
        stack.ask("Update", "b")


def test_a_database_that_the_stack_never_had_is_no_way_back(stack: Stack) -> None:
    for database in ("a", "b", "c"):
        stack.ask("Update", database)
    stack.down = True
    with pytest.raises(LedgerUnavailable):
        stack.ask("Update", "a")


def test_a_first_deployment_fails_with_the_migration(stack: Stack) -> None:
    stack.down = True
    with pytest.raises(LedgerUnavailable):
        stack.ask("Create", "a")


def test_the_deletion_of_a_stack_needs_no_database(stack: Stack, process: Process) -> None:
    stack.down = True
    request = {"RequestType": "Delete", "PhysicalResourceId": "migration-a-b"}
    assert process.run(migration_handler.handler, request, AnyContext()) == {}


def test_the_migrations_credentials_win_where_it_has_its_own(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read(arn: str, _deadline: Deadline) -> dict[str, str]:
        asked.append(arn)
        raise SecretUnavailable("why")

    monkeypatch.setattr(secrets, "get_secret_value", read)
    monkeypatch.setenv("DB_SECRET_ARN", "arn:routes")
    monkeypatch.setenv("MIGRATION_SECRET_ARN", "arn:ddl")
    with pytest.raises(SecretUnavailable):
        process.run(migration_handler.handler, {}, AnyContext())
    assert asked == ["arn:ddl"]
