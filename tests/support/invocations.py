"""What Lambda gives a handler beside the event, and the parts a test puts in the place of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from settlement.domain.clock import Deadline
from settlement.domain.order_tables import OrderId
from settlement.domain.outcomes import AnomalyKind, Outcome, Verdict
from settlement.domain.payments import Anomaly, Payment
from settlement.domain.service import Delivery

NOW = datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC)
"""When the files of tests/events were created, and where a test's clock stands."""

COMMITTED = [
    Verdict(Outcome.SETTLED),
    Verdict(Outcome.DUPLICATE),
    Verdict(Outcome.AWAITING_PAYMENT),
    *(Verdict(anomaly=kind) for kind in AnomalyKind if kind is not AnomalyKind.UNKNOWN_ORDER),
]
"""Every verdict of a ledger after which the delivery is acknowledged, however young it is."""


def name_of(verdict: Verdict) -> str:
    """For the id of a test."""
    return verdict.anomaly or outcome_of(verdict)


def outcome_of(verdict: Verdict) -> Outcome:
    """The outcome of a delivery for which the ledger gives this verdict."""
    return verdict.outcome or Outcome.ANOMALY


@dataclass(kw_only=True)
class AnyContext:
    """A Lambda context with time left ("AWS Lambda context object in Python")."""

    remaining_seconds: float = 25.0
    function_name: str = "StripePaymentFunction"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds; it does not pass, so that no test depends on how long it took."""
        return int(self.remaining_seconds * 1000)


def plenty_of_time() -> Deadline:
    """A deadline that does not come nearer."""
    return Deadline(25.0, monotonic=lambda: 0.0)


class AnsweringLedger:
    """Gives one verdict and keeps what it was asked: a stub of the service's protocol."""

    def __init__(self, verdict: Verdict | Exception) -> None:
        self._verdict = verdict
        self.settled: list[tuple[Payment, Delivery]] = []
        self.anomalies: list[tuple[Anomaly, Delivery]] = []

    def settle(self, payment: Payment, delivery: Delivery) -> Verdict:
        """See :class:`settlement.domain.service.Ledger`."""
        self.settled.append((payment, delivery))
        return self._give()

    def settle_batch(self, payments: Sequence[Payment], delivery: Delivery) -> set[OrderId]:
        """See :class:`settlement.domain.service.Ledger`."""
        self.settled += [(payment, delivery) for payment in payments]
        self._give()
        return {payment.order_id for payment in payments}

    def record_anomaly(self, anomaly: Anomaly, delivery: Delivery) -> None:
        """See :class:`settlement.domain.service.Ledger`."""
        self.anomalies.append((anomaly, delivery))
        self._give()

    def _give(self) -> Verdict:
        if isinstance(self._verdict, Exception):
            raise self._verdict
        return self._verdict
