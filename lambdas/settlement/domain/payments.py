"""Read a Stripe event as a payment of ours: pure rules, no driver, no SDK.

Both routes may carry the same event rendered with different API versions, so only fields that
are stable across versions are read ("The Checkout Session object", Stripe API reference).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from settlement.domain.outcomes import AnomalyKind
from settlement.errors import ConfigurationError, RejectedDelivery, StripeUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.domain.order_tables import OrderId, OrderIdKind

CHECKOUT_COMPLETED = "checkout.session.completed"
ASYNC_PAYMENT_SUCCEEDED = "checkout.session.async_payment_succeeded"
ASYNC_PAYMENT_FAILED = "checkout.session.async_payment_failed"
DESTINATION_PING = "v2.core.event_destination.ping"
HANDLED_TYPES = frozenset({CHECKOUT_COMPLETED, ASYNC_PAYMENT_SUCCEEDED, ASYNC_PAYMENT_FAILED})
HANDLED_THIN_TYPES = frozenset(f"v1.{name}" for name in HANDLED_TYPES)
"""What Stripe calls the same events where they are thin ("Thin events", Stripe documentation)."""

MAX_BIGINT = 2**63 - 1
MAX_EMAIL_LENGTH = 254
"""RFC 5321: a path is 256 characters, with the angle brackets."""
_INTEGER_ORDER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_STRING_ORDER_ID = re.compile(r"[\x21-\x7e]{1,64}")
_STRIPE_ID = re.compile(r"[\x21-\x7e]{1,255}")
_SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,252}", re.ASCII)
"""What is asked of Stripe is made of it, so it holds nothing that means something in a path."""
_ALLOWED_ORDER_IDS = {
    "integer": f"a decimal number from 1 to {MAX_BIGINT}",
    "string": "1 to 64 printable ASCII characters",
}
_CURRENCY = re.compile(r"[a-z]{3}", re.ASCII)


class PaymentState(StrEnum):
    """What the event says of the money."""

    PAID = "paid"
    UNPAID = "unpaid"
    """The customer finished, an asynchronous method has yet to confirm."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which events are ours, and how long an order may lag behind its payment."""

    livemode: bool | None = None
    """Settle only events of this mode; ``None`` accepts both."""
    account: str | None = None
    """The account the events must name; ``None`` accepts only those that name none: our own."""
    metadata: tuple[str, str] | None = None
    """Key and value that a session's metadata must hold; ``None`` accepts every session.

    For two shops on one Stripe account, whose orders have the same numbers.
    """
    order_id: OrderIdKind = "integer"
    """What the ids of the orders are."""
    order_grace: timedelta = timedelta(seconds=120)
    """From the event's creation; beyond it an unknown order is an anomaly, not a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeEvent:
    """The envelope of a snapshot or thin event, checked."""

    id: str
    type: str
    created: datetime
    api_version: str | None
    livemode: bool
    account: object
    """Set on events of connected accounts only."""
    context: object
    """Set on events of an organisation's destination: the account, or a path that ends with it."""
    thin: bool
    related_session: str | None
    """Id of the session that a thin event is about; ``None`` if it names none, and for others."""
    session: Mapping[str, Any] = field(repr=False)
    """``data.object`` as it came, with the payer's name and addresses; of a thin event what was
    fetched, and empty before."""

    @property
    def owner(self) -> object:
        """The account whose event it is, if it says so; ``None``: our own."""
        if self.account is None and isinstance(self.context, str):
            return self.context.rpartition("/")[2] or None
        return self.account if self.account is not None else self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What a checkout session says of one order."""

    event: StripeEvent
    order_id: OrderId
    session_id: str
    payment_intent_id: str | None
    """``None`` for a checkout that needed no payment."""
    amount: int
    """Minor units of :attr:`currency`."""
    currency: str
    """ISO 4217, lower case."""
    state: PaymentState
    email: str | None = field(repr=False)
    """The payer's, for the order alone; it never enters a log, an anomaly or an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """A delivery that may be real money and does not settle an order."""

    event: StripeEvent
    kind: AnomalyKind
    detail: str
    session_id: str
    """The session; the event's own id where the event names no session."""
    order_id: OrderId | None = None
    payment_intent_id: str | None = None
    amount: int | None = None
    currency: str | None = None

    @classmethod
    def of_payment(cls, payment: Payment, kind: AnomalyKind, detail: str) -> Anomaly:
        """Return the anomaly of a payment that could be read and does not settle its order."""
        return cls(
            event=payment.event,
            kind=kind,
            detail=detail,
            session_id=payment.session_id,
            order_id=payment.order_id,
            payment_intent_id=payment.payment_intent_id,
            amount=payment.amount,
            currency=payment.currency,
        )


@dataclass(frozen=True, slots=True)
class Unfetched:
    """A thin event of ours: what it means stands in its session, which has to be fetched."""

    event: StripeEvent
    session_id: str

    def anomaly(self, detail: str) -> Anomaly:
        """Return the anomaly that it is where its session cannot be had."""
        return Anomaly(
            event=self.event,
            kind=AnomalyKind.THIN_EVENT,
            detail=detail,
            session_id=self.session_id,
        )


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that does not concern us."""

    reason: str


def read_event(value: object) -> StripeEvent:
    """Check the envelope of a Stripe event.

    Raises:
        RejectedDelivery: ``value`` is not a Stripe event object; the message says what is wrong.
    """
    if not isinstance(value, dict):
        raise RejectedDelivery(f"not a Stripe event: got {_json_type(value)} instead of an object")
    kind = value.get("object")
    if kind not in ("event", "v2.core.event"):
        raise RejectedDelivery("not a Stripe event: `object` is neither event nor v2.core.event")
    event_id, event_type = _stripe_id(value.get("id")), _stripe_id(value.get("type"))
    if event_id is None or event_type is None:
        raise RejectedDelivery("not a Stripe event: `id` or `type` is missing or malformed")
    data = value.get("data")
    session = data.get("object") if isinstance(data, dict) else None
    return StripeEvent(
        id=event_id,
        type=event_type,
        created=_created(value.get("created")),
        api_version=_stripe_id(value.get("api_version")),
        livemode=value.get("livemode") is True,
        account=value.get("account"),
        context=value.get("context"),
        thin=kind == "v2.core.event",
        related_session=_related_session(value) if kind == "v2.core.event" else None,
        session=session if isinstance(session, dict) else {},
    )


def read_payment(event: StripeEvent, rules: Rules) -> Payment | Anomaly | Ignored | Unfetched:
    """Say what an event means for our orders. Total: every event is one of the four.

    Raises:
        ConfigurationError: whose event it is cannot be told without a setting.
    """
    if reason := _why_not_ours(event, rules):
        return Ignored(reason)
    if not event.thin:
        return _read_ours(event, rules)
    if event.related_session is not None:
        return Unfetched(event, event.related_session)
    return Unfetched(event, event.id).anomaly("the thin event names no checkout session")


def read_fetched(
    event: StripeEvent, session: Mapping[str, Any], rules: Rules
) -> Payment | Anomaly | Ignored:
    """Say what a thin event of ours means, by its session as it is now.

    The session may have moved on since the event, and then it counts: the money does.

    Raises:
        StripeUnavailable: the session is from before what the event reports, so it is asked for
            again; to act on it would be to forget the payment.
    """
    succeeded = event.type == f"v1.{ASYNC_PAYMENT_SUCCEEDED}"
    unpaid = session.get("payment_status") == "unpaid"
    if session.get("status") == "open" or (succeeded and unpaid):
        raise StripeUnavailable("Stripe returned the session as it was before its event")
    return _read_ours(replace(event, session=session), rules)


def _read_ours(event: StripeEvent, rules: Rules) -> Payment | Anomaly | Ignored:
    found = event.session.get("metadata")
    metadata: Mapping[str, object] = found if isinstance(found, dict) else {}
    if rules.metadata is not None and metadata.get(rules.metadata[0]) != rules.metadata[1]:
        return Ignored(f"the session's metadata has another {rules.metadata[0]}")
    if metadata.get("order_id") is None:
        return Ignored("the session's metadata names no order_id")
    if event.session.get("mode") != "payment" and event.session.get("payment_status") != "paid":
        return Ignored("the session's mode is not payment, and nothing is paid")
    return _read_session(event, metadata["order_id"], rules)


def read_order_id(value: object, kind: OrderIdKind = "integer") -> OrderId | None:
    """Return an order's id from a session's metadata, or ``None`` where it is not one.

    ``integer``: ASCII digits without a leading zero, at most 2^63 - 1: what fits a BIGINT and has
    one spelling. ``string``: up to 64 printable ASCII characters without blanks.
    """
    if not isinstance(value, str):
        return None
    if kind == "string":
        return value if _STRING_ORDER_ID.fullmatch(value) else None
    if not _INTEGER_ORDER_ID.fullmatch(value):
        return None
    number = int(value)
    return number if number <= MAX_BIGINT else None


def _why_not_ours(event: StripeEvent, rules: Rules) -> str | None:
    if rules.livemode is not None and event.livemode is not rules.livemode:
        return f"livemode is {event.livemode}; this deployment settles livemode {rules.livemode}"
    if event.type == DESTINATION_PING:
        return "a ping of the event destination"
    if event.type not in (HANDLED_THIN_TYPES if event.thin else HANDLED_TYPES):
        return "the event's type settles no order"
    if event.owner == rules.account:
        return None
    if rules.account is None and event.account is None:
        # Ours, or another account's of the organisation: settled, or left alone, it may be wrong.
        raise ConfigurationError(
            "the event names its account in `context`: set STRIPE_ACCOUNT to the account whose "
            "payments are to be settled"
        )
    return "the event belongs to another account"


def _read_session(event: StripeEvent, raw_order_id: object, rules: Rules) -> Payment | Anomaly:
    session = event.session
    order_id = read_order_id(raw_order_id, rules.order_id)
    session_id, amount = _stripe_id(session.get("id")), _amount(session.get("amount_total"))
    intent = _payment_intent(session.get("payment_intent"))
    currency, state = _currency(session.get("currency")), _state(event)
    intent_expected = session.get("payment_intent") is not None or (
        session.get("payment_status") == "paid" and amount != 0
    )

    def anomaly(kind: AnomalyKind, detail: str) -> Anomaly:
        return Anomaly(
            event=event,
            kind=kind,
            detail=detail,
            session_id=session_id or event.id,
            order_id=order_id,
            payment_intent_id=intent,
            amount=amount,
            currency=currency,
        )

    if order_id is None:
        what = f"{len(raw_order_id)} characters" if isinstance(raw_order_id, str) else "no string"
        return anomaly(
            AnomalyKind.MALFORMED_ORDER_ID,
            f"metadata.order_id ({what}) is not {_ALLOWED_ORDER_IDS[rules.order_id]}",
        )
    if session.get("mode") != "payment":
        return anomaly(
            AnomalyKind.UNSUPPORTED_MODE,
            "the session's mode is not payment, and its metadata names an order",
        )
    if (
        session_id is None
        or amount is None
        or currency is None
        or state is None
        or (intent is None and intent_expected)
    ):
        return anomaly(
            AnomalyKind.MALFORMED_SESSION,
            "one of id, amount_total, currency, payment_status, payment_intent cannot be read",
        )
    return Payment(
        event=event,
        order_id=order_id,
        session_id=session_id,
        payment_intent_id=intent,
        # No money moved, so it can settle only an order that costs nothing.
        amount=0 if session.get("payment_status") == "no_payment_required" else amount,
        currency=currency,
        state=state,
        email=_email(session),
    )


def _related_session(value: Mapping[str, Any]) -> str | None:
    related = value.get("related_object")
    found = related.get("id") if isinstance(related, dict) else None
    return found if isinstance(found, str) and _SESSION_ID.fullmatch(found) else None


def _payment_intent(value: object) -> str | None:
    """Its id; a session that was fetched with ``expand`` holds the whole object."""
    return _stripe_id(value.get("id") if isinstance(value, dict) else value)


def _email(session: Mapping[str, Any]) -> str | None:
    details = session.get("customer_details")
    given = details.get("email") if isinstance(details, dict) else None
    email = session.get("customer_email") or given
    if not isinstance(email, str) or not 0 < len(email) <= MAX_EMAIL_LENGTH:
        return None
    return email if email.isprintable() else None


def _state(event: StripeEvent) -> PaymentState | None:
    status = event.session.get("payment_status")
    failed = event.type.removeprefix("v1.") == ASYNC_PAYMENT_FAILED
    if failed and not (event.thin and status == "paid"):
        return PaymentState.FAILED
    match status:
        case "paid" | "no_payment_required":
            return PaymentState.PAID
        case "unpaid":
            return PaymentState.UNPAID
        case _:
            return None


def _stripe_id(value: object) -> str | None:
    return value if isinstance(value, str) and _STRIPE_ID.fullmatch(value) else None


def _amount(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_BIGINT else None


def _currency(value: object) -> str | None:
    return value if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


def _created(value: object) -> datetime:
    """Snapshot events carry Unix seconds, thin events an RFC 3339 string."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise RejectedDelivery("not a Stripe event: `created` is missing or no time")


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")
