"""Hostile and odd input through the handlers, on a real database: what comes of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

import eventbridge_handler
import webhook_handler
from local.shop import Order
from settlement import bootstrap
from settlement.adapters.ledger import MariaDBLedger
from tests.support.cachao import Cachao, event_for
from tests.support.events import (
    WEBHOOK_SECRET,
    body_of,
    eventbridge_envelope,
    proxy_request,
    signature_header,
    webhook_request,
)
from tests.support.invocations import AnyContext

QUOTE = "x'; DROP TABLE ticket_orders; -- "


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


def by_eventbridge(**changes: Any) -> Callable[[Order], str]:
    def send(order: Order) -> str:
        response = eventbridge_handler.handler(
            eventbridge_envelope(event_for(order, **changes)), AnyContext()
        )
        return cast("str", response["anomaly"] or response["outcome"])

    return send


def by_webhook(request: Callable[[dict[str, Any]], object]) -> Callable[[Order], str]:
    def send(order: Order) -> str:
        response = webhook_handler.handler(request(event_for(order)), AnyContext())
        body = json.loads(response["body"] or "{}")
        return f"{response['statusCode']} {body.get('outcome')}"

    return send


def with_event(event: dict[str, Any], **changes: Any) -> str:
    return body_of({**event, **changes})


SETTLED = "settled"
ROWS: dict[str, tuple[Callable[[Order], str], str]] = {
    "SQL in the payment intent": (by_eventbridge(payment_intent=QUOTE), "malformed_session"),
    "SQL in the session's id": (by_eventbridge(session=QUOTE), "malformed_session"),
    "SQL in the payer's e-mail": (by_eventbridge(customer_email=QUOTE), SETTLED),
    "a NUL in the payer's e-mail": (by_eventbridge(customer_email="a\0@b.example"), SETTLED),
    "a lone surrogate in the e-mail": (by_eventbridge(customer_email="\ud800@b.example"), SETTLED),
    "an emoji in the e-mail": (by_eventbridge(customer_email="\U0001f377@b.example"), SETTLED),
    "an order id of 10,000 digits": (by_eventbridge(order_id="9" * 10_000), "malformed_order_id"),
    "an order id with a line break": (by_eventbridge(order_id="1\n"), "malformed_order_id"),
    "an order id in Arabic digits": (by_eventbridge(order_id="\u0661"), "malformed_order_id"),
    "an order id that is a list": (by_eventbridge(order_id=["1"]), "malformed_order_id"),
    "metadata that is a list": (by_eventbridge(metadata=["order_id"]), "ignored"),
    "an amount that is a float": (by_eventbridge(amount=5000.0), "malformed_session"),
    "an amount that is a string": (by_eventbridge(amount="5000"), "malformed_session"),
    "an amount that is true": (by_eventbridge(amount=True), "malformed_session"),
    "an amount below zero": (by_eventbridge(amount=-5000), "malformed_session"),
    "an amount beyond a BIGINT": (by_eventbridge(amount=2**63), "malformed_session"),
    "the largest BIGINT as amount": (by_eventbridge(amount=2**63 - 1), "amount_mismatch"),
    "a currency in upper case": (by_eventbridge(currency="EUR"), "malformed_session"),
    "a currency with a long s": (by_eventbridge(currency="u\u017fd"), "malformed_session"),
    "a payment status of tomorrow": (by_eventbridge(payment_status="half"), "malformed_session"),
    "a type in upper case": (by_eventbridge(type="CHECKOUT.SESSION.COMPLETED"), "ignored"),
    "a body nested 100,000 deep": (
        by_webhook(lambda _: webhook_request("[" * 100_000)),
        "400 unauthenticated",
    ),
    "a body changed after it was signed": (
        by_webhook(
            lambda event: proxy_request(
                with_event(event, id="evt_2"),
                signature=signature_header(body_of(event), WEBHOOK_SECRET),
            )
        ),
        "400 unauthenticated",
    ),
    "a signature of an hour ago": (
        by_webhook(lambda event: webhook_request(event, timestamp=1_700_000_000)),
        "400 unauthenticated",
    ),
    "the other secret's signature first": (
        by_webhook(lambda event: webhook_request(event, "whsec_other", WEBHOOK_SECRET)),
        "200 settled",
    ),
    "created in the year 10^12": (
        by_webhook(lambda event: webhook_request(with_event(event, created=10**20))),
        "400 unauthenticated",
    ),
    "created as NaN": (
        by_webhook(lambda event: webhook_request(with_event(event, created=float("nan")))),
        "400 unauthenticated",
    ),
    "livemode as a string": (
        by_webhook(lambda event: webhook_request(with_event(event, livemode="false"))),
        "200 settled",
    ),
}


@pytest.mark.parametrize(("send", "outcome"), ROWS.values(), ids=ROWS)
def test_odd_delivery_has_the_outcome_of_the_table(
    cachao: Cachao, send: Callable[[Order], str], outcome: str
) -> None:
    order, bystander = cachao.add_order(), cachao.add_order()

    assert send(order) == outcome
    settled = outcome.endswith(SETTLED)
    assert cachao.status(order) == ("paid" if settled else "pending")
    assert (cachao.settlements(order), cachao.counters(order)[0]) == ((1, 2) if settled else (0, 0))
    assert (cachao.status(bystander), cachao.counters(bystander)) == ("pending", (0, 0))
