"""What the functions count and measure themselves, through the embedded metric format.

The metrics AWS sends of a route belong to the route: `EventRoute.metric`, `WebhookRoute.metric`.
"""

from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

FIVE_MINUTES = Duration.minutes(5)


class SettlementMetric(StrEnum):
    """The metrics' names."""

    SETTLED = "Settled"
    DUPLICATE = "Duplicate"
    AWAITING_PAYMENT = "AwaitingPayment"
    IGNORED = "Ignored"
    PAYMENT_ANOMALY = "PaymentAnomaly"
    UNAUTHENTICATED = "Unauthenticated"
    SETTLEMENT_RETRY = "SettlementRetry"
    ANOMALY_AMOUNT_MISMATCH = "AnomalyAmountMismatch"
    ANOMALY_CURRENCY_MISMATCH = "AnomalyCurrencyMismatch"
    ANOMALY_SECOND_PAYMENT = "AnomalySecondPayment"
    ANOMALY_LATE_PAYMENT = "AnomalyLatePayment"
    ANOMALY_PAYMENT_REUSED = "AnomalyPaymentReused"
    ANOMALY_UNKNOWN_ORDER = "AnomalyUnknownOrder"
    ANOMALY_MALFORMED_ORDER_ID = "AnomalyMalformedOrderId"
    ANOMALY_MALFORMED_SESSION = "AnomalyMalformedSession"
    ANOMALY_UNSUPPORTED_MODE = "AnomalyUnsupportedMode"
    ANOMALY_OVERSOLD = "AnomalyOversold"
    ANOMALY_CANNOT_BE_SETTLED = "AnomalyCannotBeSettled"
    ANOMALY_THIN_EVENT = "AnomalyThinEvent"
    RECONCILED = "Reconciled"
    """Orders that a run of reconciliation settled, because neither route had; 0 if none."""
    RECONCILIATION_LAG = "ReconciliationLag"
    """Seconds from reconciliation's watermark to the end of its run."""
    SETTLEMENT_LAG = "SettlementLag"
    """Milliseconds from Stripe's `created` to the commit."""
    SETTLEMENT_DURATION = "SettlementDuration"
    """Milliseconds the handler itself took."""


OUTCOMES = (
    SettlementMetric.SETTLED,
    SettlementMetric.DUPLICATE,
    SettlementMetric.AWAITING_PAYMENT,
    SettlementMetric.IGNORED,
    SettlementMetric.PAYMENT_ANOMALY,
    SettlementMetric.UNAUTHENTICATED,
    SettlementMetric.SETTLEMENT_RETRY,
)
"""One of these is counted for each delivery."""

ANOMALY_KINDS = tuple(metric for metric in SettlementMetric if metric.startswith("Anomaly"))
"""One of these is counted beside each `PaymentAnomaly`."""


@dataclass(frozen=True, kw_only=True)
class SettlementMetrics:
    """Where the metrics of one settlement are."""

    namespace: str
    """What the functions have in `POWERTOOLS_METRICS_NAMESPACE`."""

    service: str
    """What they have in `POWERTOOLS_SERVICE_NAME`, the only dimension Powertools adds."""

    def metric(
        self,
        name: SettlementMetric,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return one metric.

        Args:
            name: which.
            statistic: as CloudWatch writes it, `Sum` or `p99`.
            period: length of one data point.
            label: what a graph calls it. Not for an alarm: with a label the CDK writes the metric
                in the form of a query, in which tools that look for `Dimensions` find none.
        """
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=name.value,
            dimensions_map={"service": self.service},
            statistic=statistic,
            period=period,
            label=label,
        )
