"""What a function answered: an outcome that is committed, or the reason why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from stripe_settlement_cli.reasons import (
    RETRY,
    UNAUTHENTICATED,
    UNKNOWN_ANSWER,
    Reason,
    reason_of_error,
)

COMMITTED: Final = ("settled", "duplicate", "awaiting_payment", "ignored", "anomaly")
"""The outcomes after which the sender may forget the event. The functions' code decides which;
it travels in this package as a zip's content and is not imported, so they are named again here."""

_REFUSALS: Final = {
    RETRY: "the webhook's function answered 503",
    UNAUTHENTICATED: "the signature is wrong, or older than five minutes",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Either a committed outcome or a reason; never both."""

    outcome: str | None = None
    reason: Reason | None = None


def read_answer(payload: bytes, *, failed: bool) -> Answer:
    """Read what a synchronous invocation answered.

    Args:
        payload: the function's answer.
        failed: whether Lambda set ``FunctionError``: it raised, crashed or ran out of time.
    """
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        answer = None
    if failed:
        return Answer(reason=reason_of_error(answer))
    if isinstance(answer, dict) and "statusCode" in answer:
        return _http_answer(answer)
    return _answer_of(answer)


def _http_answer(answer: dict[str, object]) -> Answer:
    try:
        body = json.loads(str(answer.get("body")))
    except (ValueError, RecursionError):
        body = None
    status, said = answer["statusCode"], _answer_of(body)
    if said.outcome is not None and status != 200:
        return Answer(reason=Reason(UNKNOWN_ANSWER, f"HTTP {status} with a committed outcome"))
    return said


def _answer_of(answer: object) -> Answer:
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    if not isinstance(outcome, str):
        return Answer(reason=Reason(UNKNOWN_ANSWER))
    if outcome in COMMITTED:
        return Answer(outcome=outcome)
    if outcome in _REFUSALS:
        return Answer(reason=Reason(outcome, _REFUSALS[outcome]))
    return Answer(reason=Reason(UNKNOWN_ANSWER))
