"""When a function is given up in a run."""

from __future__ import annotations

from stripe_settlement_cli.reasons import Reason
from stripe_settlement_cli.streaks import Streaks

DOWN = Reason("LedgerUnavailable", "connection refused")


def streaks_after(*steps: Reason | None) -> Streaks:
    """Three in a row are too many; None is a success."""
    streaks = Streaks(limit=3)
    for step in steps:
        if step is None:
            streaks.succeeded("function")
        else:
            streaks.failed("function", step)
    return streaks


def test_the_same_reason_in_a_row_is_too_many_at_the_limit() -> None:
    assert streaks_after(DOWN, DOWN).given_up("function") is None
    assert streaks_after(DOWN, DOWN, DOWN).given_up("function") == DOWN


def test_the_text_of_a_reason_may_vary() -> None:
    varied = [Reason("LedgerUnavailable", str(n)) for n in range(3)]

    assert streaks_after(*varied).given_up("function") is not None


def test_a_success_in_between_begins_anew() -> None:
    assert streaks_after(DOWN, DOWN, None, DOWN, DOWN).given_up("function") is None


def test_another_reason_in_between_begins_anew() -> None:
    other = Reason("SecretUnavailable")

    assert streaks_after(DOWN, DOWN, other, DOWN, DOWN).given_up("function") is None


def test_a_reason_that_lies_in_the_event_counts_for_nothing() -> None:
    unknown = Reason("OrderNotYetKnown")

    assert streaks_after(*[unknown] * 9).given_up("function") is None
    assert streaks_after(DOWN, unknown, DOWN, unknown, DOWN).given_up("function") == DOWN


def test_another_functions_failures_are_its_own() -> None:
    assert streaks_after(DOWN, DOWN, DOWN).given_up("another") is None
