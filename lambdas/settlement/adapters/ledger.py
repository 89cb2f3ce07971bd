"""The ledger in MariaDB: the service's protocol, said in SQL files."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from settlement.adapters.database import Statement
from settlement.domain.outcomes import AnomalyKind, Outcome, Verdict
from settlement.domain.payments import PaymentState
from settlement.errors import LedgerUnavailable

if TYPE_CHECKING:
    from settlement.adapters.database import Database
    from settlement.domain.payments import Anomaly, Payment
    from settlement.domain.service import Delivery


OPEN = "open"


class MariaDBLedger:
    """Commits a settlement in one round trip: the domain's ``Ledger``, in MariaDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(self, payment: Payment, delivery: Delivery) -> Verdict:
        """See :meth:`settlement.domain.service.Ledger.settle`."""
        parameters = {
            **_common(payment, delivery),
            "amount": payment.amount,
            "currency": payment.currency,
            "state": payment.state.value,
        }
        if payment.state is PaymentState.PAID:
            settle = _statement("settle_order.sql")
            if self._database.run(settle, parameters, delivery.deadline) is None:
                return Verdict(Outcome.SETTLED)
        review = _statement("review_order.sql")
        verdict, order = self._database.run(review, parameters, delivery.deadline) or (OPEN, "")
        if verdict in (Outcome.DUPLICATE, Outcome.AWAITING_PAYMENT):
            return Verdict(Outcome(verdict))
        if verdict == OPEN:
            raise LedgerUnavailable(f"order {payment.order_id} changed while it was being settled")
        detail = f"the order is {order}" if order else "there is no such order"
        return Verdict(anomaly=AnomalyKind(verdict), detail=detail)

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> None:
        """See :meth:`settlement.domain.service.Ledger.record_anomaly`."""
        self._database.run(
            _statement("record_anomaly.sql"),
            {
                **_common(anomaly, delivery),
                "amount": anomaly.amount,
                "currency": anomaly.currency,
                "kind": anomaly.kind.value,
                "detail": anomaly.detail,
            },
            delivery.deadline,
        )

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self._database.close()


@cache
def _statement(name: str) -> Statement:
    return Statement(Path(__file__).parents[1] / "sql" / name)


def _common(subject: Payment | Anomaly, delivery: Delivery) -> dict[str, object]:
    return {
        "order_id": subject.order_id,
        "session_id": subject.session_id,
        "payment_intent_id": subject.payment_intent_id,
        "event_id": subject.event.id,
        "event_type": subject.event.type,
        "api_version": subject.event.api_version,
        "route": delivery.route.value,
        # DATETIME knows no zone; the ledger's is UTC.
        "now": delivery.received_at.astimezone(UTC).replace(tzinfo=None),
    }
