"""What each outcome answers, on each route."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from settlement.domain.outcomes import Outcome, Result
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


def test_the_answer_tells_nothing_but_outcome_and_event() -> None:
    result = Result(
        outcome=Outcome.RETRY,
        event_id="evt_1",
        order_id=42,
        session_id="cs_1",
        reason="the database gave an error",
        error=LedgerUnavailable("why"),
    )
    assert result.answer() == {"outcome": "retry", "event_id": "evt_1"}
