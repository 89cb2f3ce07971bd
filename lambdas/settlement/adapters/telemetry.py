"""Logs and metrics, through Powertools: what the operator searches and what the alarms watch.

A line carries ids, an outcome and a duration; never a body, a header, a secret, a name or an e-mail
address. Metrics have one dimension, the service, so that an alarm can name them.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from settlement.domain.outcomes import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from settlement.domain.clock import LambdaContext
    from settlement.domain.outcomes import AnomalyKind, Result, Route
    from settlement.domain.reconciliation import Run
    from settlement.errors import UnexpectedFailure

DEFAULT_NAMESPACE = "StripeSettlement"
DEFAULT_SERVICE = "stripe-settlement"

OUTCOME_METRICS = {
    Outcome.SETTLED: "Settled",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.AWAITING_PAYMENT: "AwaitingPayment",
    Outcome.IGNORED: "Ignored",
    Outcome.ANOMALY: "PaymentAnomaly",
    Outcome.UNAUTHENTICATED: "Unauthenticated",
    Outcome.RETRY: "SettlementRetry",
}
_LEVELS = {
    Outcome.ANOMALY: "warning",
    Outcome.UNAUTHENTICATED: "warning",
    Outcome.RETRY: "error",
}


def _log_level() -> int:
    """INFO where the level is none that Python knows: Lambda has TRACE, and a line too many is
    better than a function that does not start.
    """
    level = logging.getLevelName(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper())
    return level if isinstance(level, int) else logging.INFO


def anomaly_metric(kind: AnomalyKind) -> str:
    """Return the metric of a kind of anomaly: ``amount_mismatch`` is ``AnomalyAmountMismatch``."""
    return "Anomaly" + kind.value.title().replace("_", "")


def report_failed(result: Result, failure: UnexpectedFailure) -> None:
    """Say in the plainest way that a delivery could not be reported, and what came of it.

    Through Python's own logging, which never raises: Powertools is what has just failed.
    """
    logging.getLogger(__name__).error(
        "delivery %s, but it could not be reported: %s (event %s, order %s, session %s)",
        result.outcome.value,
        failure,
        result.event_id,
        result.order_id,
        result.session_id,
    )


class Telemetry:
    """Reports each delivery once: one log line, one set of metrics."""

    def __init__(self) -> None:
        service = os.environ.get("POWERTOOLS_SERVICE_NAME") or DEFAULT_SERVICE
        namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or DEFAULT_NAMESPACE
        self.logger = Logger(service=service, level=_log_level())
        self._metrics = Metrics(namespace=namespace, service=service)

    def report(
        self,
        result: Result,
        *,
        route: Route,
        received_at: datetime,
        duration_ms: float,
        context: LambdaContext,
    ) -> None:
        """Log the result and flush its metrics. What fails here counts in no later delivery."""
        try:
            self._count(result, received_at=received_at, duration_ms=duration_ms)
            self._log(result, route=route, duration_ms=duration_ms, context=context)
        finally:
            self._metrics.clear_metrics()

    def report_reconciliation(self, run: Run, *, now: datetime, context: LambdaContext) -> None:
        """Log a run and flush its metrics; zeros too, which say that it ran."""
        try:
            lag = run.lag(now).total_seconds()
            self._metrics.add_metric("Reconciled", MetricUnit.Count, run.settled)
            self._metrics.add_metric("ReconciliationLag", MetricUnit.Seconds, lag)
            self._metrics.flush_metrics()
        finally:
            self._metrics.clear_metrics()
        log = self.logger.error if run.error else self.logger.info
        log(
            "reconciliation run",
            extra={
                "listed": run.listed,
                "handled": run.handled,
                "settled": run.settled,
                "failed": run.failed,
                "caught_up": run.caught_up,
                "watermark": run.progress.watermark.isoformat(),
                "lag_seconds": round(lag),
                "reason": str(run.error) if run.error else None,
                "error": type(run.error).__name__ if run.error else None,
                "function_request_id": getattr(context, "aws_request_id", None),
            },
        )

    def _log(
        self, result: Result, *, route: Route, duration_ms: float, context: LambdaContext
    ) -> None:
        outcome = Outcome.ANOMALY if result.anomaly else result.outcome
        log = getattr(self.logger, _LEVELS.get(outcome, "info"))
        log(
            f"delivery {result.outcome.value}",
            extra={
                "outcome": result.outcome.value,
                "route": route.value,
                "event_id": result.event_id,
                "event_type": result.event_type,
                "order_id": result.order_id,
                "session_id": result.session_id,
                "anomaly": result.anomaly.value if result.anomaly else None,
                "reason": result.reason,
                "error": type(result.error).__name__ if result.error else None,
                "duration_ms": round(duration_ms, 1),
                "function_request_id": getattr(context, "aws_request_id", None),
            },
        )

    def _count(self, result: Result, *, received_at: datetime, duration_ms: float) -> None:
        self._metrics.add_metric(OUTCOME_METRICS[result.outcome], MetricUnit.Count, 1)
        self._metrics.add_metric("SettlementDuration", MetricUnit.Milliseconds, duration_ms)
        if result.anomaly:
            self._metrics.add_metric(anomaly_metric(result.anomaly), MetricUnit.Count, 1)
            if result.outcome is not Outcome.ANOMALY:  # settled all the same, as oversold is
                self._metrics.add_metric(OUTCOME_METRICS[Outcome.ANOMALY], MetricUnit.Count, 1)
        if result.outcome is Outcome.SETTLED and result.event_created:
            lag = received_at - result.event_created
            lag_ms = max(lag.total_seconds() * 1000 + duration_ms, 0)
            self._metrics.add_metric("SettlementLag", MetricUnit.Milliseconds, lag_ms)
        self._metrics.flush_metrics()
