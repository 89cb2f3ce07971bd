"""When a function is not invoked again in a run."""

from __future__ import annotations

from stripe_settlement_cli.circuit_breaker import CircuitBreaker
from stripe_settlement_cli.failure_reasons import FailureReason, Response

DOWN = FailureReason("LedgerUnavailable", "connection refused")
SETTLED = Response("settled")


def breaker_after(*steps: FailureReason | None) -> CircuitBreaker:
    """Three in a row are too many; None is a success."""
    breaker = CircuitBreaker(limit=3)
    for step in steps:
        breaker.count("function", [SETTLED if step is None else Response(reason=step)])
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


def test_an_invocation_with_many_events_counts_once() -> None:
    breaker = CircuitBreaker(limit=2)
    breaker.count("function", [Response(reason=DOWN)] * 9)
    assert breaker.open_for("function") is None

    breaker.count("function", [Response(reason=DOWN)] * 9)
    assert breaker.open_for("function") == DOWN


def test_one_settled_event_of_many_makes_the_invocation_a_success() -> None:
    breaker = CircuitBreaker(limit=1)
    breaker.count("function", [Response(reason=DOWN), SETTLED, Response(reason=DOWN)])
    assert breaker.open_for("function") is None
