"""The ledger in MariaDB: the service's protocol, said in SQL files."""

from __future__ import annotations

import json
import os
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from settlement.adapters.database import Statement
from settlement.adapters.templates import batch_words_of, words_of
from settlement.domain.money import to_major
from settlement.domain.outcomes import AnomalyKind, Outcome, Verdict
from settlement.domain.payments import PaymentState
from settlement.errors import LedgerUnavailable, StatementRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from settlement.adapters.database import Database, Response
    from settlement.domain.order_tables import OrderId, OrderTables
    from settlement.domain.payments import Anomaly, Payment
    from settlement.domain.service import Delivery

SQL = Path(__file__).parents[1] / "sql"
OPEN = "open"
MIN_ROWS_OF_A_SETTLEMENT = 4
"""The order, its settlement, the event and the ticket: all are changed, or none is."""
MAX_DETAIL_LENGTH = 255
"""Of ``payment_anomalies.detail``."""


class MariaDBLedger:
    """Commits a settlement in one round trip: the domain's ``Ledger``, in MariaDB."""

    def __init__(self, database: Database, tables: OrderTables) -> None:
        """Make the SQL for these tables; nothing connects yet."""
        self._database = database
        self._tables = tables
        words = words_of(tables)
        self._settle = Statement(SQL / "settle_order.sql", words)
        self._review = Statement(SQL / "review_order.sql", words)
        self._record = Statement(SQL / "record_anomaly.sql", words)
        self._settle_batch = Statement(SQL / "settle_batch.sql", batch_words_of(words))

    def settle(self, payment: Payment, delivery: Delivery) -> Verdict:
        """See :meth:`settlement.domain.service.Ledger.settle`."""
        parameters = {
            **_common(payment, delivery),
            **self._amounts(payment.amount, payment.currency),
            "email": payment.email,
            "state": payment.state.value,
            "error": None,
        }
        try:
            if payment.state is PaymentState.PAID:
                verdict = self._try_to_settle(parameters, delivery)
                if verdict is not None:
                    return verdict
            return self._review_order(parameters, delivery)
        except StatementRefused as refusal:
            if not refusal.lasts:
                raise
            return self._cannot_be_settled(refusal, parameters, delivery)

    def settle_batch(self, payments: Sequence[Payment], delivery: Delivery) -> set[OrderId]:
        """See :meth:`settlement.domain.service.Ledger.settle_batch`."""
        # One order, whatever the batch: batches that overlap wait for each other, in turn.
        ordered = sorted(payments, key=lambda payment: payment.order_id)
        parameters = {
            # As bytes, which the driver sends as hexadecimal digits: it escapes text far slower.
            "payments": json.dumps(
                [self._row(payment) for payment in ordered], default=str, separators=(",", ":")
            ).encode(),
            "route": delivery.route.value,
            "now": _now(delivery),
            "batch": os.urandom(16).hex(),
        }
        row = self._database.run(self._settle_batch, parameters, delivery.deadline).row
        if row is None or len(row) != 3 or row[2] != parameters["batch"]:
            raise LedgerUnavailable("the database's response belongs to another statement")
        settles, number, _ = row
        if len(settles) != len(ordered) or settles.count("1") != number:
            raise LedgerUnavailable("the database's response is not whole")
        return {
            payment.order_id
            for payment, settled in zip(ordered, settles, strict=True)
            if settled == "1"
        }

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> None:
        """See :meth:`settlement.domain.service.Ledger.record_anomaly`."""
        parameters = {
            **_common(anomaly, delivery),
            "amount": anomaly.amount,
            "currency": anomaly.currency,
            "kind": anomaly.kind.value,
            "detail": anomaly.detail[:MAX_DETAIL_LENGTH],
        }
        _read(self._database.run(self._record, parameters, delivery.deadline), parameters)

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self._database.close()

    def _try_to_settle(self, parameters: dict[str, object], delivery: Delivery) -> Verdict | None:
        """Return what was committed, or that the ticket is sold out; ``None``: not settled."""
        response = self._database.run(self._settle, parameters, delivery.deadline)
        if response.row is None:
            # Any statement without rows says OK, also one whose answer this is not.
            if response.changed < MIN_ROWS_OF_A_SETTLEMENT:
                self._database.close()
                raise LedgerUnavailable(
                    f"the database confirmed {response.changed} changed rows, which is no "
                    "settlement; the connection is replaced"
                )
            return Verdict(Outcome.SETTLED)
        found, detail = _read(response, parameters)
        if found == "not settled":
            return None
        outcome = Outcome.SETTLED if found == "settled, oversold" else None
        return Verdict(outcome, AnomalyKind.OVERSOLD, detail)

    def _review_order(self, parameters: dict[str, object], delivery: Delivery) -> Verdict:
        found, detail = self._ask_why(parameters, delivery)
        if found == OPEN:
            raise LedgerUnavailable(
                f"order {parameters['order_key']} changed while it was being settled"
            )
        return _verdict(found, detail)

    def _cannot_be_settled(
        self, refusal: StatementRefused, parameters: dict[str, object], delivery: Delivery
    ) -> Verdict:
        """Say what is in the way: something the review knows, or else the error itself."""
        where = self._names(refusal.where)
        detail = f"the database refused with error {refusal.number}" + where
        try:
            found, reviewed = self._ask_why({**parameters, "error": refusal.number}, delivery)
        except StatementRefused as error:
            if not error.lasts:
                raise
            found = OPEN
        if found == OPEN:
            return Verdict(anomaly=AnomalyKind.CANNOT_BE_SETTLED, detail=detail)
        return _verdict(found, reviewed)

    def _ask_why(self, parameters: dict[str, object], delivery: Delivery) -> tuple[str, str]:
        response = self._database.run(self._review, parameters, delivery.deadline)
        return _read(response, parameters)

    def _row(self, payment: Payment) -> tuple[object, ...]:
        """Return a payment as settle_batch.sql reads it, by position."""
        amounts = self._amounts(payment.amount, payment.currency)
        return (
            payment.order_id,
            amounts["total"],
            amounts["tolerance"],
            payment.currency,
            payment.amount,
            payment.session_id,
            payment.payment_intent_id,
            payment.event.id,
            payment.event.type,
            payment.event.api_version,
            payment.email,
        )

    def _amounts(self, amount: int, currency: str) -> dict[str, object]:
        """Return the amount as we record it, and as the orders hold it."""
        tolerance = self._tables.amount_tolerance_per_ticket
        total: int | Decimal = amount
        allowed: int | Decimal = tolerance
        if self._tables.amount_unit == "major":
            total, allowed = to_major(amount, currency), to_major(tolerance, currency)
        return {"amount": amount, "currency": currency, "total": total, "tolerance": allowed}

    def _names(self, where: str) -> str:
        """Which table and columns a place in settle_order.sql is about, by the shop's names."""
        orders, tickets, codes = (
            self._tables.orders,
            self._tables.tickets,
            self._tables.discount_codes,
        )
        written = (orders.status, orders.payment_intent_id, orders.paid_at, orders.session_id)
        order = f"{orders.table} ({', '.join(filter(None, (*written, orders.email)))})"
        ticket = f"{tickets.table}.{tickets.sold_quantity}"
        code = f"{codes.table}.{codes.used_count}" if codes else ""
        missing = ", where the row is missing or its count is NULL"
        names = {
            "order": order,
            "settlement": "settlements",
            "event": "stripe_events",
            "anomaly": "payment_anomalies",
            "discount code": code,
            "discount code not counted": code + missing,
            "ticket": ticket,
            "ticket not counted": ticket + missing,
        }
        return f" at {names[where]}" if where in names else ""


def _read(response: Response, parameters: dict[str, object]) -> tuple[str, str]:
    """Take (what, detail) from a row that says which event it is about."""
    row = response.row
    if row is None or len(row) != 3 or row[2] != parameters["event_id"]:
        raise LedgerUnavailable("the database's response belongs to another statement")
    return row[0], row[1]


def _verdict(found: str, detail: str | None) -> Verdict:
    if found in (Outcome.DUPLICATE, Outcome.AWAITING_PAYMENT):
        return Verdict(Outcome(found))
    what = f"the order is {detail}" if detail else "there is no such order"
    return Verdict(anomaly=AnomalyKind(found), detail=what)


def _common(subject: Payment | Anomaly, delivery: Delivery) -> dict[str, object]:
    order_id = subject.order_id
    return {
        "order_id": order_id,
        # As our own tables hold it: an integer and a string compare without an index.
        "order_key": None if order_id is None else str(order_id),
        "session_id": subject.session_id,
        "payment_intent_id": subject.payment_intent_id,
        "event_id": subject.event.id,
        "event_type": subject.event.type,
        "api_version": subject.event.api_version,
        "route": delivery.route.value,
        "now": _now(delivery),
    }


def _now(delivery: Delivery) -> datetime:
    # DATETIME knows no zone; the ledger's is UTC.
    return delivery.received_at.astimezone(UTC).replace(tzinfo=None)
