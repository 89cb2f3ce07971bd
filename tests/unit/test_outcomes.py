"""What each outcome returns, on each route."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from settlement.domain.outcomes import AnomalyKind, Outcome, Result
from settlement.errors import DeliveryTooLarge, LedgerUnavailable, RejectedDelivery

ACKNOWLEDGING = {
    Outcome.SETTLED,
    Outcome.DUPLICATE,
    Outcome.AWAITING_PAYMENT,
    Outcome.IGNORED,
    Outcome.ANOMALY,
}


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_committed_outcome_acknowledges(outcome: Outcome) -> None:
    assert outcome.acknowledges is (outcome in ACKNOWLEDGING)


@pytest.mark.parametrize("outcome", sorted(ACKNOWLEDGING))
def test_an_acknowledged_delivery_answers_200(outcome: Outcome) -> None:
    assert Result(outcome=outcome).http_status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        (Outcome.UNAUTHENTICATED, RejectedDelivery("why"), 400),
        (Outcome.UNAUTHENTICATED, DeliveryTooLarge("why"), 413),
        (Outcome.RETRY, LedgerUnavailable("why"), 503),
    ],
)
def test_any_other_delivery_answers_why_it_was_not(
    outcome: Outcome, error: RejectedDelivery | LedgerUnavailable, status: int
) -> None:
    assert Result(outcome=outcome, error=error).http_status == status


def test_the_webhook_tells_its_sender_nothing_but_outcome_and_event() -> None:
    result = Result(
        outcome=Outcome.RETRY,
        event_id="evt_1",
        order_id=42,
        session_id="cs_1",
        reason="the database gave an error",
        error=LedgerUnavailable("why"),
    )
    assert result.http_response() == {"outcome": "retry", "event_id": "evt_1"}


@pytest.mark.parametrize("order_id", [42, None])
def test_a_direct_invocation_gets_the_order_and_the_anomaly_too(order_id: int | None) -> None:
    result = Result(
        outcome=Outcome.ANOMALY,
        event_id="evt_1",
        order_id=order_id,
        session_id="cs_1",
        anomaly=AnomalyKind.SECOND_PAYMENT,
        reason="the order is paid 50.00 eur",
    )
    assert result.response() == {
        "outcome": "anomaly",
        "event_id": "evt_1",
        "order_id": "42" if order_id else None,
        "anomaly": "second_payment",
    }
