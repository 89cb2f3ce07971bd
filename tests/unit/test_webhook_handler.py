"""What API Gateway gets back for each delivery of Stripe's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import webhook_handler
from settlement.adapters import secrets
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import AnomalyKind, Outcome, Route, Verdict
from settlement.errors import LedgerUnavailable, SecretUnavailable
from tests.support.events import (
    FORWARDER_SOURCE,
    OTHER_TYPE,
    PAID,
    any_paid_event,
    body_of,
    eventbridge_envelope,
    load,
    proxy_request,
    webhook_request,
)
from tests.support.invocations import COMMITTED, AnsweringLedger, AnyContext, name_of, outcome_of
from tests.support.output import Process

SettleWith = Callable[..., AnsweringLedger]

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stripe-AbCdEf"
SETTLED = Verdict(Outcome.SETTLED)
ANY_EVENT = load(PAID)


@pytest.fixture
def post(process: Process, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Any]:
    """Send a request to the webhook; the status code and the body come back."""
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_test_secret")

    def send(request: object) -> tuple[int, dict[str, Any]]:
        answer = process.run(webhook_handler.handler, request, AnyContext())
        assert set(answer) == {"statusCode", "headers", "body"}
        assert answer["headers"]["Content-Type"] == "application/json"
        return answer["statusCode"], json.loads(answer["body"])

    return send


@pytest.mark.parametrize("verdict", COMMITTED, ids=name_of)
def test_a_committed_outcome_answers_200(
    post: Any, settle_with: SettleWith, verdict: Verdict
) -> None:
    settle_with(verdict)
    answer = {"outcome": outcome_of(verdict), "event_id": ANY_EVENT["id"]}
    assert post(webhook_request(ANY_EVENT)) == (200, answer)


def test_an_ignored_event_answers_200(post: Any, settle_with: SettleWith) -> None:
    settle_with(AssertionError("the ledger was asked"))
    event = load(OTHER_TYPE)
    answer = {"outcome": "ignored", "event_id": event["id"]}
    assert post(webhook_request(event)) == (200, answer)


@pytest.mark.parametrize(
    "request_",
    [
        proxy_request(body_of(ANY_EVENT)),
        proxy_request(body_of(ANY_EVENT), signature="t=1,v1=x"),
        proxy_request("e30\N{SNOWMAN}", is_base64_encoded=True),
        load("eventbridge_partner"),
        {},
        None,
    ],
    ids=["unsigned", "wrong", "no base64", "EventBridge", "empty", "null"],
)
def test_what_stripe_did_not_sign_answers_400(
    post: Any, settle_with: SettleWith, request_: object
) -> None:
    ledger = settle_with(SETTLED)
    assert post(request_) == (400, {"outcome": "unauthenticated", "event_id": None})
    assert (ledger.settled, ledger.anomalies) == ([], [])


def test_a_signed_eventbridge_payload_answers_400(post: Any, settle_with: SettleWith) -> None:
    ledger = settle_with(SETTLED)
    request = webhook_request(eventbridge_envelope(ANY_EVENT, source=FORWARDER_SOURCE))
    assert post(request) == (400, {"outcome": "unauthenticated", "event_id": None})
    assert ledger.settled == []


def test_a_body_of_a_megabyte_answers_413(post: Any, settle_with: SettleWith) -> None:
    settle_with(SETTLED)
    answer = {"outcome": "unauthenticated", "event_id": None}
    assert post(proxy_request("x" * 1024**2, signature="t=1,v1=x")) == (413, answer)


@pytest.mark.parametrize(
    "answer",
    [LedgerUnavailable("why"), Verdict(anomaly=AnomalyKind.UNKNOWN_ORDER)],
    ids=["ledger", "order"],
)
def test_a_retry_answers_503_and_names_the_event(
    post: Any, settle_with: SettleWith, answer: Exception | Verdict
) -> None:
    settle_with(answer)
    event = any_paid_event()
    expected = {"outcome": "retry", "event_id": event["id"]}
    assert post(webhook_request(event)) == (503, expected)


def test_a_defect_answers_503_without_a_stack_trace(
    post: Any, settle_with: SettleWith, process: Process
) -> None:
    settle_with(KeyError("jenny.rosen@example.com"))
    status, body = post(webhook_request(ANY_EVENT))
    assert (status, set(body), body["outcome"]) == (503, {"outcome", "event_id"}, "retry")
    output = process.output()
    assert "Traceback" not in output.text
    assert "jenny" not in output.text
    assert output.logs[0]["error"] == "UnexpectedFailure"
    assert "KeyError at invocations.py:" in output.logs[0]["reason"]


def test_a_defect_in_reading_the_request_answers_503(
    post: Any, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_handler, "open_webhook_request", None)
    assert post(webhook_request(ANY_EVENT)) == (503, {"outcome": "retry", "event_id": None})
    assert "TypeError at webhook_handler.py:" in process.output().logs[0]["reason"]


def test_missing_settings_answer_503(process: Process) -> None:
    answer = process.run(webhook_handler.handler, webhook_request(ANY_EVENT), AnyContext())
    assert answer["statusCode"] == 503
    assert "STRIPE_WEBHOOK_SECRET" in process.output().logs[0]["reason"]


def test_missing_database_settings_answer_503(post: Any, process: Process) -> None:
    assert post(webhook_request(ANY_EVENT))[0] == 503
    reason = process.output().logs[0]["reason"]
    assert all(name in reason for name in ("DB_HOST", "DB_NAME", "DB_PASSWORD"))


def test_settings_that_were_mended_are_read_again(
    settle_with: SettleWith, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_with(SETTLED)
    request = webhook_request(ANY_EVENT)
    statuses = [process.run(webhook_handler.handler, request, AnyContext())["statusCode"]]
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_test_secret")
    statuses += [process.run(webhook_handler.handler, request, AnyContext())["statusCode"]]
    assert statuses == [503, 200]


def test_the_route_is_told_to_the_ledger(post: Any, settle_with: SettleWith) -> None:
    ledger = settle_with(SETTLED)
    post(webhook_request(ANY_EVENT))
    assert [delivery.route for _, delivery in ledger.settled] == [Route.WEBHOOK]


@pytest.mark.parametrize(
    "answer",
    [SETTLED, LedgerUnavailable("why"), KeyError("why")],
    ids=["ok", "retry", "defect"],
)
def test_a_delivery_is_logged_once_with_its_ids_and_duration(
    post: Any, settle_with: SettleWith, process: Process, answer: Any
) -> None:
    settle_with(answer)
    post(webhook_request(ANY_EVENT))
    [line] = process.output().logs
    assert (line["event_id"], line["order_id"]) == (ANY_EVENT["id"], 42)
    assert line["session_id"] == ANY_EVENT["data"]["object"]["id"]
    assert line["route"] == "webhook"
    assert line["duration_ms"] >= 0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any] | Exception]:
    """What Secrets Manager gives, in turn."""
    values: list[Mapping[str, Any] | Exception] = []

    def fetch(arn: str, _deadline: Deadline) -> Mapping[str, Any]:
        assert arn == ARN
        value = values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(secrets, "get_secret_value", fetch)
    monkeypatch.setattr(secrets.SecretsManagerSecret, "MIN_AGE_SECONDS", 0.0)
    monkeypatch.setenv("STRIPE_SECRET_ARN", ARN)
    return values


def statuses(process: Process, *secrets: str) -> list[int]:
    requests = [webhook_request(ANY_EVENT, secret) for secret in secrets]
    handler = webhook_handler.handler
    return [process.run(handler, request, AnyContext())["statusCode"] for request in requests]


def test_it_verifies_and_is_kept(
    process: Process, settle_with: SettleWith, store: list[Any]
) -> None:
    settle_with(SETTLED)
    store.append({"secret_key": "sk_test", "webhook_secret": "whsec_1,whsec_2"})
    assert statuses(process, "whsec_1", "whsec_2", "whsec_1") == [200] * 3


def test_a_rotation_is_no_outage(
    process: Process, settle_with: SettleWith, store: list[Any]
) -> None:
    settle_with(SETTLED)
    store += [{"webhook_secret": "whsec_old"}, {"webhook_secret": "whsec_new"}]
    assert statuses(process, "whsec_old", "whsec_new") == [200, 200]


def test_an_unreadable_secret_answers_503_until_it_is_readable(
    process: Process, settle_with: SettleWith, store: list[Any]
) -> None:
    settle_with(SETTLED)
    store += [SecretUnavailable("why"), {"webhook_secret": "whsec_1"}]
    assert statuses(process, "whsec_1", "whsec_1") == [503, 200]
