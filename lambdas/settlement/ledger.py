"""The ledger in MariaDB: the service's protocol, said in SQL files."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from settlement.database import read_statement
from settlement.outcomes import AnomalyKind, Outcome, Verdict

if TYPE_CHECKING:
    from settlement.database import Database, Row
    from settlement.payments import Anomaly, Payment
    from settlement.service import Delivery

UNKNOWN_ORDER = "unknown_order"


class MariaDBLedger:
    """Commits each outcome in one round trip. Implements :class:`settlement.service.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(
        self, payment: Payment, delivery: Delivery, *, order_may_be_late: bool
    ) -> Verdict | None:
        """See :meth:`settlement.service.Ledger.settle`."""
        row = self._database.run(
            _statement("settle_order.sql"),
            {
                "order_id": payment.order_id,
                "order_may_be_late": order_may_be_late,
                "state": payment.state.value,
                "session_id": payment.session_id,
                "payment_intent_id": payment.payment_intent_id,
                "amount": payment.amount,
                "currency": payment.currency,
                "event_id": payment.event.id,
                "event_type": payment.event.type,
                "api_version": payment.event.api_version,
                "route": delivery.route.value,
                "now": _utc(delivery.received_at),
            },
            delivery.deadline,
        )
        return None if row[0] == UNKNOWN_ORDER else _verdict(row)

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> Verdict:
        """See :meth:`settlement.service.Ledger.record_anomaly`."""
        row = self._database.run(
            _statement("record_anomaly.sql"),
            {
                "kind": anomaly.kind.value,
                "session_id": anomaly.session_id,
                "order_id": anomaly.order_id,
                "payment_intent_id": anomaly.payment_intent_id,
                "amount": anomaly.amount,
                "currency": anomaly.currency,
                "detail": anomaly.detail,
                "event_id": anomaly.event.id,
                "event_type": anomaly.event.type,
                "api_version": anomaly.event.api_version,
                "route": delivery.route.value,
                "now": _utc(delivery.received_at),
            },
            delivery.deadline,
        )
        return _verdict(row)

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self._database.close()


@cache
def _statement(name: str) -> str:
    return read_statement(Path(__file__).with_name(name))


def _utc(moment: datetime) -> datetime:
    """DATETIME knows no zone; the ledger's is UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _verdict(row: Row) -> Verdict:
    outcome, anomaly = row
    return Verdict(Outcome(outcome), AnomalyKind(anomaly) if anomaly else None)
