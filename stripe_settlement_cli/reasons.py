"""Why a message stays in its queue, and what its operator can do about it.

Only what we or AWS wrote is ever shown: the message of an error that is not one of ours may quote
the event, and with it a customer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 200
"""Characters of a reason. Ours are shorter; what AWS writes is cut, because a summary is read."""

TIMEOUT: Final = "timeout"
RETRY: Final = "retry"
UNAUTHENTICATED: Final = "unauthenticated"
UNKNOWN_ANSWER: Final = "unknown answer"
NO_ANSWER: Final = "no answer"
UNREADABLE: Final = "unreadable"
NOT_OURS: Final = "not ours"
NOT_DELETED: Final = "not deleted"

_RESEND: Final = (
    "No later try of this message helps. Resend the event from Stripe: Workbench, Webhooks, "
    "Event deliveries, Resend; or bring it back from Stripe as the runbook says."
)

ADVICE: Final = {
    "LedgerUnavailable": "The database did not commit in time. Run this again when it is back.",
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
    UNKNOWN_ANSWER: "The function answered, but with no outcome that this command knows. Is it "
    "older or newer than what is deployed? Nothing was deleted.",
    NO_ANSWER: "AWS was not reached, or the connection broke. Run this again.",
    UNREADABLE: "Neither an event that EventBridge could not deliver nor the record of a failed "
    "invocation: somebody else put it there. Ask them, do not delete it.",
    NOT_OURS: "It was meant for a function that is not in this stack now. Ask the developers "
    "whether it was replaced.",
    NOT_DELETED: "Its outcome is committed, only the message is still there. Run this again: it "
    "ends as 'duplicate' and is deleted then.",
}
"""What to do, by the kind of reason."""

OUR_ERRORS: Final = frozenset(kind for kind in ADVICE if kind[0].isupper())
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


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one message stays."""

    kind: str
    """One of the keys of ``ADVICE``, the type of an error, or an error code of AWS."""
    text: str = ""
    """More about it, fit to be shown."""

    @property
    def of_one_event(self) -> bool:
        """Whether the next event may well fare better; otherwise the cause is everybody's."""
        return self.kind in _OF_ONE_EVENT

    @property
    def advice(self) -> str:
        """What the operator can do about it."""
        if self.kind.startswith(_AWS_WRITES):
            return "The function crashed. Its log says how. Tell the developers."
        return ADVICE.get(self.kind, "Tell the developers, with the event id.")

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


def reason_of_error(payload: object) -> Reason:
    """Why an invocation failed, from what Lambda says of the error.

    Args:
        payload: the answer of a failed invocation, or ``responsePayload`` of its record.
    """
    error = payload if isinstance(payload, dict) else {}
    kind, message = printable(error.get("errorType")), printable(error.get("errorMessage"))
    if "Task timed out after" in message:
        return Reason(
            TIMEOUT, f"Task timed out after{message.rpartition('Task timed out after')[2]}"
        )
    if not kind:
        return Reason(UNKNOWN_ANSWER, "the function failed without naming its error")
    ours = kind in OUR_ERRORS or kind.startswith(_AWS_WRITES)
    return Reason(kind, message if ours else "")


def printable(value: object) -> str:
    """One line of ASCII, without anything a terminal would act on; '' for what is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(re.sub(r"[^ -~…]+", " ", value[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
