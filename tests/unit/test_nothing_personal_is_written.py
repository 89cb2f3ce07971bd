"""Whatever comes of a delivery, no body, header, secret, name or e-mail address is written."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import eventbridge_handler
import webhook_handler
from settlement.domain.outcomes import AnomalyKind, Outcome, Verdict
from settlement.errors import LedgerUnavailable, SettlementError
from tests.support.events import (
    OTHER_TYPE,
    PAID,
    THIN,
    any_paid_event,
    body_of,
    eventbridge_envelope,
    load,
    proxy_request,
    webhook_request,
)
from tests.support.invocations import AnsweringLedger, AnyContext
from tests.support.output import Process

SettleWith = Callable[..., AnsweringLedger]

MARK = "MARKER"
SECRET = f"whsec_{MARK}"
PERSONAL = ("customer_details", "customer_email", "custom_fields", "custom_text", "discounts")
SETTLED = Verdict(Outcome.SETTLED)
COMMITTED = (Outcome.SETTLED, Outcome.DUPLICATE, Outcome.AWAITING_PAYMENT, Outcome.IGNORED)


def marked(value: Any) -> Any:
    """``value`` with every string in it marked."""
    if isinstance(value, dict):
        return {key: marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return f"{MARK} {value}"


def event_full_of_marks(name: str = PAID, **session: object) -> dict[str, Any]:
    event = load(name)
    fields = event.get("data", {}).get("object", {})
    fields.update({key: marked(fields[key]) for key in PERSONAL if key in fields})
    fields["client_secret"] = fields["url"] = fields["success_url"] = f"https://{MARK}"
    fields["metadata"] = {"order_id": "42", "note": MARK}
    fields["shipping_details"] = {"name": MARK, "address": {"line1": MARK}}
    fields.update(session)
    return event


EVENTS: dict[str, tuple[dict[str, Any], Verdict | Exception]] = {
    **{outcome: (event_full_of_marks(), Verdict(outcome)) for outcome in COMMITTED},
    **{kind: (event_full_of_marks(), Verdict(anomaly=kind)) for kind in AnomalyKind},
    "another type": (event_full_of_marks(OTHER_TYPE), SETTLED),
    "order id": (
        event_full_of_marks(metadata={"order_id": MARK}),
        SETTLED,
    ),
    "session": (
        event_full_of_marks(currency=MARK, payment_status=MARK),
        SETTLED,
    ),
    "thin": (load(THIN), SETTLED),
    "no event": ({**event_full_of_marks(), "object": MARK}, SETTLED),
    "no id": ({**event_full_of_marks(), "id": f"{MARK} {MARK}"}, SETTLED),
    "unknown order": (any_paid_event(), Verdict(anomaly=AnomalyKind.UNKNOWN_ORDER)),
    "ledger": (event_full_of_marks(), LedgerUnavailable("why")),
    "defect": (event_full_of_marks(), KeyError(MARK)),
}

LATE_BODY = body_of(event_full_of_marks())
REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "unsigned": lambda: proxy_request(LATE_BODY),
    "header": lambda: proxy_request(LATE_BODY, signature=MARK),
    "signature": lambda: proxy_request(LATE_BODY, signature=f"t=1795000000,v1={MARK}"),
    "other secret": lambda: webhook_request(LATE_BODY, "whsec_other"),
    "stale": lambda: webhook_request(LATE_BODY, SECRET, timestamp=1),
    "no JSON": lambda: webhook_request(f"{MARK} {{", SECRET),
    "string": lambda: webhook_request(json.dumps(MARK), SECRET),
    "no base64": lambda: proxy_request(MARK + "!", is_base64_encoded=True),
    "too large": lambda: proxy_request(MARK * 200_000),
    "envelope": lambda: webhook_request(eventbridge_envelope(event_full_of_marks()), SECRET),
}


@pytest.fixture(autouse=True)
def secrets(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("DB_PASSWORD", MARK)


def answer_of(process: Process, request: dict[str, Any]) -> str:
    """Everything that leaves the webhook, as one text."""
    request["headers"]["Cookie"] = request["headers"]["User-Agent"] = MARK
    answer = process.run(webhook_handler.handler, request, AnyContext())
    return json.dumps(answer) + process.output().text


@pytest.mark.parametrize("name", EVENTS)
def test_the_webhook_writes_nothing_personal_of_a_signed_event(
    process: Process, settle_with: SettleWith, name: str
) -> None:
    event, answer = EVENTS[name]
    settle_with(answer)
    request = webhook_request(event, SECRET)
    text = answer_of(process, request)
    assert text.count('"delivery ') == 1
    assert MARK not in text
    assert request["headers"]["Stripe-Signature"].partition("v1=")[2] not in text


@pytest.mark.parametrize("name", REQUESTS)
def test_the_webhook_writes_nothing_of_a_request_it_refuses(
    process: Process, settle_with: SettleWith, name: str
) -> None:
    settle_with(AssertionError("the ledger was asked"))
    text = answer_of(process, REQUESTS[name]())
    assert "delivery unauthenticated" in text
    assert MARK not in text


@pytest.mark.parametrize("name", EVENTS)
def test_the_eventbridge_function_writes_and_raises_nothing_personal(
    process: Process, settle_with: SettleWith, name: str
) -> None:
    event, answer = EVENTS[name]
    settle_with(answer)
    try:
        answered = repr(
            process.run(eventbridge_handler.handler, eventbridge_envelope(event), AnyContext())
        )
    except SettlementError as error:
        answered = "".join(traceback.format_exception(error))
    text = answered + process.output().text
    assert text.count('"delivery ') == 1
    assert MARK not in text


def test_wrong_settings_are_reported_without_their_values(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DB_PORT", "DB_TLS", "DB_TLS_CA", "STRIPE_LIVEMODE", "ORDER_GRACE_SECONDS"):
        monkeypatch.setenv(name, MARK)
    text = answer_of(process, webhook_request(any_paid_event(), SECRET))
    assert "wrong settings" in text
    assert MARK not in text
