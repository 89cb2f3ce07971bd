"""When a function is not invoked again in a run."""

from __future__ import annotations

from stripe_settlement_cli.failure_reasons import FailureReason
from stripe_settlement_cli.redrive import CircuitBreaker

DOWN = FailureReason("LedgerUnavailable", "connection refused")


def breaker_after(*steps: FailureReason | None) -> CircuitBreaker:
    """Three in a row are too many; None is a success."""
    breaker = CircuitBreaker(limit=3)
    for step in steps:
        if step is None:
            breaker.succeeded("function")
        else:
            breaker.failed("function", step)
    return breaker


def test_the_same_reason_in_a_row_opens_the_circuit_at_the_limit() -> None:
    assert breaker_after(DOWN, DOWN).open_for("function") is None
    assert breaker_after(DOWN, DOWN, DOWN).open_for("function") == DOWN


def test_reasons_of_one_kind_count_together_whatever_their_text() -> None:
    varied = [FailureReason("LedgerUnavailable", str(n)) for n in range(3)]

    assert breaker_after(*varied).open_for("function") is not None


def test_a_success_in_between_starts_the_count_anew() -> None:
    assert breaker_after(DOWN, DOWN, None, DOWN, DOWN).open_for("function") is None


def test_another_reason_in_between_starts_the_count_anew() -> None:
    other = FailureReason("SecretUnavailable")

    assert breaker_after(DOWN, DOWN, other, DOWN, DOWN).open_for("function") is None


def test_a_reason_that_lies_in_the_event_counts_for_nothing() -> None:
    unknown = FailureReason("OrderNotYetKnown")

    assert breaker_after(*[unknown] * 9).open_for("function") is None
    assert breaker_after(DOWN, unknown, DOWN, unknown, DOWN).open_for("function") == DOWN


def test_the_failures_of_another_function_are_not_counted() -> None:
    assert breaker_after(DOWN, DOWN, DOWN).open_for("another") is None
