"""The handlers as Lambda calls them: environment in, committed rows and a response out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest

import eventbridge_handler
import migration_handler
import webhook_handler
from settlement import bootstrap
from settlement.adapters.ledger import MariaDBLedger
from settlement.errors import LedgerUnavailable
from tests.support.cachao import Cachao, event_for
from tests.support.events import (
    FORWARDER_SOURCE,
    PARTNER_SOURCE,
    WEBHOOK_SECRET,
    eventbridge_envelope,
    webhook_request,
)
from tests.support.invocations import AnyContext


@pytest.fixture(autouse=True)
def function(cachao: Cachao, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fresh execution environment, configured for the database."""
    environment = {
        **cachao.address.environment(),
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_LIVEMODE": "false",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for build in (bootstrap.parts, bootstrap.telemetry, bootstrap.webhook):
        build.cache_clear()
    yield
    if bootstrap.parts.cache_info().currsize:
        cast("MariaDBLedger", bootstrap.parts().ledger).close()
    bootstrap.parts.cache_clear()


@pytest.mark.parametrize("source", [PARTNER_SOURCE, FORWARDER_SOURCE])
def test_eventbridge_event_settles_its_order(cachao: Cachao, source: str) -> None:
    order = cachao.add_order()
    envelope = eventbridge_envelope(event_for(order, event="e"), source=source)

    response = eventbridge_handler.handler(envelope, AnyContext())

    assert response == {
        "outcome": "settled",
        "event_id": "evt_e",
        "order_id": str(order.id),
        "anomaly": None,
    }
    assert cachao.status(order) == "paid"


def test_signed_request_settles_its_order(cachao: Cachao) -> None:
    order = cachao.add_order()

    response = webhook_handler.handler(webhook_request(event_for(order, event="e")), AnyContext())

    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == {"outcome": "settled", "event_id": "evt_e"}
    assert cachao.status(order) == "paid"


def test_one_event_on_both_routes_settles_once(cachao: Cachao) -> None:
    order = cachao.add_order()
    event = event_for(order)

    eventbridge_handler.handler(eventbridge_envelope(event), AnyContext())
    response = webhook_handler.handler(webhook_request(event), AnyContext())

    assert json.loads(response["body"])["outcome"] == "duplicate"
    assert cachao.counters(order) == (2, 1)


def test_event_of_the_other_mode_settles_nothing(cachao: Cachao) -> None:
    order = cachao.add_order()
    event = {**event_for(order), "livemode": True}

    assert eventbridge_handler.handler(eventbridge_envelope(event), AnyContext()) == {
        "outcome": "ignored",
        "event_id": event["id"],
        "order_id": None,
        "anomaly": None,
    }
    assert cachao.status(order) == "pending"


@pytest.mark.parametrize("signed", [True, False])
def test_eventbridge_envelope_never_settles_through_the_webhook(
    cachao: Cachao, signed: bool
) -> None:
    order = cachao.add_order()
    envelope = eventbridge_envelope(event_for(order))
    request = webhook_request(envelope) if signed else envelope

    assert webhook_handler.handler(request, AnyContext())["statusCode"] == 400
    assert cachao.status(order) == "pending"


def test_database_that_is_away_is_a_503_and_an_error(
    cachao: Cachao, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PORT", "1")
    order = cachao.add_order()
    event = event_for(order)

    response = webhook_handler.handler(webhook_request(event), AnyContext(remaining_seconds=2))

    assert response["statusCode"] == 503
    assert json.loads(response["body"]) == {"outcome": "retry", "event_id": event["id"]}
    with pytest.raises(LedgerUnavailable):
        eventbridge_handler.handler(eventbridge_envelope(event), AnyContext(remaining_seconds=2))


def test_migrations_run_from_their_handler() -> None:
    assert migration_handler.handler({}, AnyContext())["applied"] == []
