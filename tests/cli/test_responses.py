"""Which responses of a function let a message be deleted."""

from __future__ import annotations

import json

import pytest

from settlement import errors
from settlement.domain.outcomes import AnomalyKind, Outcome, Result
from settlement.errors import SettlementError
from stripe_settlement_cli.failure_reasons import (
    COMMITTED,
    HINTS,
    OUR_ERRORS,
    FailureReason,
    Response,
    read_response,
    reason_of_error,
)


def of_the_webhook(status: int, **body: str) -> bytes:
    return json.dumps({"statusCode": status, "body": json.dumps(body)}).encode()


def test_committed_is_what_the_functions_acknowledge() -> None:
    assert set(COMMITTED) == {outcome.value for outcome in Outcome if outcome.acknowledges}


def test_every_error_of_the_functions_has_a_hint() -> None:
    raised = {
        name
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, SettlementError)
    } - {"SettlementError", "RetryableError"}
    assert raised == OUR_ERRORS


@pytest.mark.parametrize("outcome", list(Outcome))
def test_responses_of_both_routes_are_understood(outcome: Outcome) -> None:
    result = Result(outcome=outcome, event_id="evt_1")
    direct = read_response(json.dumps(result.response()).encode(), failed=False, event_id="evt_1")
    posted = read_response(
        of_the_webhook(int(result.http_status), outcome=outcome.value, event_id="evt_1"),
        failed=False,
        event_id="evt_1",
    )

    assert direct == posted
    assert direct.outcome == (outcome.value if outcome.acknowledges else None)
    assert direct.reason is None or direct.reason.kind == outcome.value


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b'"settled"',
        b'{"outcome": "Settled"}',
        b'{"outcome": ["settled"]}',
        b'{"outcome": null}',
        b'{"outcome": "settled"}',
        b'{"outcome": "settled", "event_id": "evt_2"}',
        b'{"outcome": "settled", "event_id": null}',
        of_the_webhook(200, outcome="settled", event_id="evt_2"),
        b'{"statusCode": 200}',
        b'{"statusCode": 200, "body": "settled"}',
        of_the_webhook(503, outcome="settled", event_id="evt_1"),
    ],
)
def test_any_other_response_commits_nothing(payload: bytes) -> None:
    response = read_response(payload, failed=False, event_id="evt_1")

    assert response.outcome is None
    assert response.reason is not None
    assert response.reason.kind == "unknown answer"


def test_an_anomaly_is_read_with_its_order_and_kind() -> None:
    result = Result(
        outcome=Outcome.ANOMALY,
        event_id="evt_1",
        order_id=4711,
        anomaly=AnomalyKind.SECOND_PAYMENT,
    )

    response = read_response(json.dumps(result.response()).encode(), failed=False, event_id="evt_1")

    assert (response.order_id, response.anomaly) == ("4711", "second_payment")


def test_a_failed_invocation_commits_nothing_whatever_it_returns() -> None:
    assert read_response(b'{"outcome": "settled"}', failed=True, event_id="evt_1").outcome is None


def test_an_error_of_ours_is_shown_with_its_message() -> None:
    payload = b'{"errorType": "LedgerUnavailable", "errorMessage": "connection refused"}'

    assert read_response(payload, failed=True, event_id="evt_1") == Response(
        reason=FailureReason("LedgerUnavailable", "connection refused")
    )


def test_an_error_of_another_library_is_shown_without_its_message() -> None:
    payload = b'{"errorType": "KeyError", "errorMessage": "jenny.rosen@example.com"}'

    assert str(read_response(payload, failed=True, event_id="evt_1").reason) == "KeyError"


@pytest.mark.parametrize(
    "error",
    [
        {"errorMessage": "2026-11-21T20:00:00Z 1b2c Task timed out after 60.00 seconds"},
        {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: 1b2c Error: Task timed out after 60.00 seconds",
        },
    ],
)
def test_a_timeout_is_one_kind_of_failure_however_it_is_reported(error: dict[str, str]) -> None:
    assert reason_of_error(error) == FailureReason("timeout", "Task timed out after 60.00 seconds")


def test_a_crash_is_shown_as_lambda_describes_it() -> None:
    error = {"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'x'"}

    assert str(reason_of_error(error)) == "Runtime.ImportModuleError: No module named 'x'"


def test_a_reason_is_one_line_that_no_terminal_acts_on() -> None:
    error = {"errorType": "LedgerUnavailable", "errorMessage": "a\n\x1b[31mb\u202ec" + "d" * 999}
    text = str(reason_of_error(error))

    assert text.isascii() or text.endswith("…")
    assert text.startswith("LedgerUnavailable: a [31mb c")
    assert len(text) < 250


@pytest.mark.parametrize("kind", [*HINTS, "Runtime.ExitError", "AccessDeniedException"])
def test_every_reason_comes_with_a_hint(kind: str) -> None:
    assert FailureReason(kind).hint.endswith(".")
