from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from settlement import bootstrap
from settlement.domain.outcomes import Verdict
from settlement.domain.payments import Rules
from settlement.domain.service import Parts
from tests.support.events import any_id
from tests.support.invocations import AnsweringLedger
from tests.support.output import Process

SETTINGS_BEGIN_WITH = ("DB_", "STRIPE_", "POWERTOOLS_", "ORDER_", "SIGNATURE_", "WEBHOOK_", "AWS_")


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A function's process that has not been invoked yet, with no settings but its service name.

    The name is new each time: Powertools keeps a logger, and its stream, by the service's name.
    """
    for name in os.environ:
        if name.startswith(SETTINGS_BEGIN_WITH):
            monkeypatch.delenv(name)
    service = any_id("service")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", service)
    caches = (bootstrap.parts, bootstrap.telemetry, bootstrap.webhook, bootstrap.event_sources)
    for cache in caches:
        cache.cache_clear()
    yield Process(service)
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def database_settings(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a database that no test asks."""
    for name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"):
        monkeypatch.setenv(name, "any")


@pytest.fixture
def settle_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AnsweringLedger]:
    """Put a ledger with one verdict in the place of the database's."""

    def use(verdict: Verdict | Exception, **rules: Any) -> AnsweringLedger:
        ledger = AnsweringLedger(verdict)
        parts = Parts(ledger=ledger, rules=Rules(**rules))
        monkeypatch.setattr(bootstrap, "parts", lambda: parts)
        return ledger

    return use
