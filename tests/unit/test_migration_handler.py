"""What the deployment gets back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import migration_handler
from settlement.errors import ConfigurationError, LedgerUnavailable
from tests.support.invocations import AnyContext

if TYPE_CHECKING:
    from settlement.adapters.database import Database
    from settlement.domain.clock import Deadline
    from tests.support.output import Process


pytestmark = pytest.mark.usefixtures("database_settings")


def test_the_names_of_what_was_applied_are_returned(
    monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    def migrate(_database: Database, deadline: Deadline) -> list[str]:
        assert deadline.remaining() <= 24.5
        return ["0001_settlements"]

    monkeypatch.setattr(migration_handler, "migrate", migrate)
    answer = process.run(migration_handler.handler, {}, AnyContext())
    assert answer == {"applied": ["0001_settlements"]}
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
