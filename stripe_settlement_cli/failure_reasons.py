"""What an invocation returned: an outcome that is committed, or the reason why there is none.

Only what we or AWS wrote is ever shown: the message of an error that is not one of ours may quote
the event, and with it a customer.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

COMMITTED: Final = ("settled", "duplicate", "awaiting_payment", "ignored", "anomaly")
"""The outcomes after which the sender may forget the event. The functions' code decides which;
it travels in this package as a zip's content and is not imported, so they are named again here."""

TIMEOUT: Final = "timeout"
RETRY: Final = "retry"
UNAUTHENTICATED: Final = "unauthenticated"
UNKNOWN_ANSWER: Final = "unknown answer"
NO_ANSWER: Final = "no answer"
UNREADABLE: Final = "unreadable"
NOT_OURS: Final = "not ours"
NOT_DELETED: Final = "not deleted"
MISSING_FUNCTION: Final = "missing function"

_RESEND: Final = (
    "No later try of this message helps. Resend the event from Stripe: Workbench, Webhooks, "
    "Event deliveries, Resend; or bring it back from Stripe as the runbook says."
)

COMES_BACK: Final = (
    "`npx cdk deploy --revert-drift`, with the options you deploy with, brings it back; a plain "
    "`cdk deploy` sees no change."
)
"""How what was deleted by hand is made again."""

HINTS: Final = {
    "LedgerUnavailable": "The database did not commit in time. Run this again when it is back.",
    "StatementRefused": "The database refuses the statement. The reason names the error and the "
    "table: see 'Settlements stuck in retry' in the runbook. Then run this again.",
    "StripeUnavailable": "Stripe's API did not return what was asked for. The reason says what it "
    "returned; a 401 or 403 is the API key's. Then run this again.",
    "OrderNotYetKnown": "The order is not in the database yet. Run this again in a few minutes; "
    "if it stays unknown, ask whether the shop writes its orders, and into which database.",
    "SecretUnavailable": "A secret cannot be read, or does not hold what it must. Put it right; "
    "the function reads it again by itself. Then run this again.",
    "ConfigurationError": "A setting of the function is missing or malformed. Deploy it right, "
    "then run this again.",
    "UnexpectedFailure": "A defect of ours. Give the reason and the event id to the developers.",
    "RejectedDelivery": _RESEND,
    "DeliveryTooLarge": _RESEND,
    UNAUTHENTICATED: _RESEND,
    RETRY: "The function says 'try again later'. Its log says why, at this event id.",
    TIMEOUT: "The function did not finish in its time. Usually the database is slow: see "
    "'Function duration' in the runbook. Then run this again.",
    UNKNOWN_ANSWER: "The function returned no outcome of this event that this command knows. Is "
    "it older or newer than what is deployed? Nothing was deleted.",
    MISSING_FUNCTION: f"The function was deleted by hand. {COMES_BACK} Then run this again.",
    NO_ANSWER: "AWS was not reached, the connection broke, or no response came in time. Whether "
    "the event was settled is not known; it settles once all the same. Run this again.",
    UNREADABLE: "Neither an event that EventBridge could not deliver nor the record of a failed "
    "invocation: somebody else put it there. Ask them, do not delete it.",
    NOT_OURS: "It was meant for a function that is not in this stack now. Ask the developers "
    "whether it was replaced.",
    NOT_DELETED: "Its outcome is committed, only the message is still there. Run this again: it "
    "ends as 'duplicate' and is deleted then.",
}
"""What to do, by the kind of reason."""

OUR_ERRORS: Final = frozenset(kind for kind in HINTS if kind[0].isupper())
"""What the functions raise. Their messages hold ids and names of settings, nothing personal."""

_OF_ONE_EVENT: Final = frozenset(
    {
        "OrderNotYetKnown",
        "RejectedDelivery",
        "DeliveryTooLarge",
        UNAUTHENTICATED,
        UNREADABLE,
        NOT_OURS,
        NOT_DELETED,
    }
)
_AWS_WRITES: Final = ("Runtime.", "Sandbox.", "Function.", "Extension.")
"""How the error types begin that Lambda itself gives to a crash ("Lambda runtime API")."""

_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_LONGEST: Final = 200
"""Characters of a reason. Ours are shorter; what AWS writes is cut, because a summary is read."""


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Why one message is retained."""

    kind: str
    """One of the keys of ``HINTS``, the type of an error, or an error code of AWS."""
    text: str = ""
    """More about it, fit to be shown."""

    @property
    def of_one_event(self) -> bool:
        """Whether the next event may well fare better; otherwise the cause is everybody's."""
        return self.kind in _OF_ONE_EVENT

    @property
    def hint(self) -> str:
        """What the operator can do about it."""
        if self.kind.startswith(_AWS_WRITES):
            return "The function crashed. Its log says how. Tell the developers."
        return HINTS.get(self.kind, "Tell the developers, with the event id.")

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True, slots=True)
class Response:
    """What an invocation returned: a committed outcome or a reason, never both."""

    outcome: str | None = None
    reason: FailureReason | None = None
    order_id: str | None = None
    anomaly: str | None = None
    """Its kind. The webhook's function does not name it."""


def read_response(payload: bytes, *, failed: bool, event_id: str | None) -> Response:
    """Return what a synchronous invocation committed, or why it did not.

    Args:
        payload: what the function returned.
        failed: whether Lambda set ``FunctionError``: it raised, crashed or ran out of time.
        event_id: of the event it was invoked with. An outcome of any other event is none of it.
    """
    value = _json(payload)
    if failed:
        return Response(reason=reason_of_error(value))
    if not isinstance(value, dict) or "statusCode" not in value:
        return _response_of(value, event_id)
    status, response = value["statusCode"], _response_of(_json(str(value.get("body"))), event_id)
    if response.outcome is not None and status != 200:
        text = f"HTTP {status} with a committed outcome"
        return Response(reason=FailureReason(UNKNOWN_ANSWER, text))
    return response


def read_responses(payload: bytes, *, event_ids: Sequence[str | None]) -> list[Response] | None:
    """Return what an invocation with many events committed for each; None for any other response.

    Args:
        payload: what the function returned.
        event_ids: of the events it was invoked with, in their order.
    """
    value = _json(payload)
    each = value.get("responses") if isinstance(value, dict) else None
    if not isinstance(each, list) or len(each) != len(event_ids):
        return None
    return [_one_of_many(*pair) for pair in zip(each, event_ids, strict=True)]


def _one_of_many(value: object, event_id: str | None) -> Response:
    if isinstance(value, dict) and "errorType" in value:
        return Response(reason=reason_of_error(value))
    return _response_of(value, event_id)


def reason_of_error(payload: object) -> FailureReason:
    """Return why an invocation failed, from what Lambda reports of the error.

    Args:
        payload: what a failed invocation returned, or ``responsePayload`` of its record.
    """
    error = payload if isinstance(payload, dict) else {}
    kind, message = printable(error.get("errorType")), printable(error.get("errorMessage"))
    _, timed_out, seconds = message.rpartition("Task timed out after")
    if timed_out:
        return FailureReason(TIMEOUT, timed_out + seconds)
    if not kind:
        return FailureReason(UNKNOWN_ANSWER, "the function failed without naming its error")
    ours = kind in OUR_ERRORS or kind.startswith(_AWS_WRITES)
    return FailureReason(kind, message if ours else "")


def printable(value: object) -> str:
    """Return one line of ASCII, without anything a terminal acts on; '' for what is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(re.sub(r"[^ -~…]+", " ", value[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def printable_id(value: object) -> str:
    """Return an order's id; '' for what does not look like one, and may be a name or an address."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _json(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _response_of(value: object, event_id: str | None) -> Response:
    response = value if isinstance(value, dict) else {}
    outcome = response.get("outcome")
    if outcome in COMMITTED:
        if response.get("event_id") != event_id:
            text = "it reports an outcome, but not of this event"
            return Response(reason=FailureReason(UNKNOWN_ANSWER, text))
        order_id, anomaly = map(printable, map(response.get, ("order_id", "anomaly")))
        return Response(str(outcome), order_id=order_id or None, anomaly=anomaly or None)
    if outcome == RETRY:
        return Response(reason=FailureReason(RETRY, "the webhook's function returned 503"))
    if outcome == UNAUTHENTICATED:
        text = "the signature is wrong, or older than five minutes"
        return Response(reason=FailureReason(UNAUTHENTICATED, text))
    return Response(reason=FailureReason(UNKNOWN_ANSWER))
