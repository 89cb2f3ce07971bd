"""One alarm for each way a paid order could stay unsettled, or settle without anybody knowing."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from stripe_settlement._naming import pascal_case, physical_name
from stripe_settlement._validation import is_unresolved, require_between
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.monitoring import alarm_descriptions as texts
from stripe_settlement.monitoring.alarm_descriptions import AlarmText
from stripe_settlement.monitoring.alarm_settings import AlarmSettings
from stripe_settlement.monitoring.metrics import SettlementMetric, SettlementMetrics
from stripe_settlement.reconciliation import Reconciliation
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.on_sale_queue import OnSaleQueue
from stripe_settlement.routes.webhook import WebhookRoute

_MissingData = cloudwatch.TreatMissingData
_Operator = cloudwatch.ComparisonOperator
_Stats = cloudwatch.Stats
_LONGEST_DESCRIPTION = 1024


class SettlementAlarms(Construct):
    """Alarms over the parts of a settlement, all of them published to one SNS topic.

    Every description says what happened, what is at risk and which entry of the runbook helps.
    Missing data is not breaching unless an alarm says otherwise: most of these metrics exist only
    while something goes wrong, or while there is traffic.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic,
        functions: Sequence[SettlementFunction],
        event_route: EventRoute,
        webhook_route: WebhookRoute | None,
        metrics: SettlementMetrics,
        reconciliation: Reconciliation | None = None,
        on_sale_queue: OnSaleQueue | None = None,
        settings: AlarmSettings | None = None,
        name_prefix: str | None = None,
    ) -> None:
        """Create every alarm.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            topic: where every alarm is published. CloudWatch must be allowed to publish to it and,
                if it is encrypted, to use its key: see `AlarmTopic`.
            functions: the settlement functions; their ids begin the alarms' ids.
            event_route: the preferred route.
            webhook_route: the fallback, the only one that checks signatures; None without one.
            metrics: what the functions report themselves.
            reconciliation: the third net; None without one.
            on_sale_queue: between the rule and its function; None without on-sale mode.
            settings: thresholds.
            name_prefix: begins the alarms' physical names; without it CloudFormation names them.
        """
        super().__init__(scope, construct_id)
        self.alarms: Final[list[cloudwatch.Alarm]] = []
        """Every alarm, in the order of creation."""
        self._settings = settings or AlarmSettings()
        self._action = actions.SnsAction(topic)
        self._name_prefix = name_prefix
        for function in functions:
            self._watch_function(function)
            if not _takes_batches_alone(function, on_sale_queue):
                self._watch_asynchronous_invocations(function)
            self._watch_queue(function.failure_queue, texts.ON_FAILURE_QUEUE)
        self._watch_event_route(event_route)
        if on_sale_queue is not None:
            self._watch_on_sale_queue(on_sale_queue)
        if webhook_route is not None:
            self._watch_webhook_route(webhook_route)
        if reconciliation is not None:
            self._watch_reconciliation(reconciliation, metrics)
        self._watch_settlements(metrics, signatures=webhook_route is not None)

    def _watch_function(self, each: SettlementFunction) -> None:
        settings, function, label = self._settings, each.function, each.node.id
        self._add(
            f"{label}Errors",
            texts.FUNCTION_ERRORS,
            metric=function.metric_errors(period=settings.period),
            threshold=settings.function_errors,
            label=label,
        )
        self._add(
            f"{label}Throttles",
            texts.FUNCTION_THROTTLES,
            metric=function.metric_throttles(period=settings.period),
            threshold=settings.function_throttles,
            label=label,
        )
        self._add(
            f"{label}Duration",
            texts.FUNCTION_DURATION,
            metric=function.metric_duration(period=settings.period, statistic=_Stats.MAXIMUM),
            threshold=each.timeout.to_milliseconds() * settings.timeout_fraction,
            label=label,
            share=f"{settings.timeout_fraction:.0%}",
            timeout=each.timeout.to_human_string(),
        )

    def _watch_asynchronous_invocations(self, each: SettlementFunction) -> None:
        settings, label = self._settings, each.node.id

        def metric(name: str, statistic: str = _Stats.SUM) -> cloudwatch.Metric:
            return each.function.metric(name, statistic=statistic, period=settings.period)

        self._add(
            f"{label}AsyncEventsDropped",
            texts.ASYNC_EVENTS_DROPPED,
            metric=metric("AsyncEventsDropped"),
            label=label,
        )
        self._add(
            f"{label}AsyncEventAge",
            texts.ASYNC_EVENT_AGE,
            metric=metric("AsyncEventAge", _Stats.MAXIMUM),
            threshold=settings.async_event_age.to_milliseconds(),
            label=label,
            age=settings.async_event_age.to_human_string(),
        )
        self._add(
            f"{label}DestinationDeliveryFailures",
            texts.DESTINATION_DELIVERY_FAILURES,
            metric=metric("DestinationDeliveryFailures"),
            label=label,
        )

    def _watch_event_route(self, route: EventRoute) -> None:
        for name, text in (
            ("FailedInvocations", texts.RULE_FAILED_INVOCATIONS),
            ("InvocationsSentToDlq", texts.RULE_SENT_TO_DLQ),
            ("InvocationsFailedToBeSentToDlq", texts.RULE_DLQ_FAILURES),
        ):
            self._add(f"Rule{name}", text, metric=route.metric(name, period=self._settings.period))
        self._watch_queue(route.dlq, texts.STRIPE_EVENT_DLQ)
        if (silence := self._settings.no_events_for) is not None:
            self._add(
                "NoStripeEvents",
                texts.NO_STRIPE_EVENTS,
                # Counted in hours: CloudWatch's longest single period is a day.
                metric=route.metric("Invocations", period=Duration.hours(1)),
                periods=int(silence.to_hours()),
                operator=_Operator.LESS_THAN_THRESHOLD,
                # EventBridge sends no zeros of this metric: here missing data is the breach.
                missing_data=_MissingData.BREACHING,
                silence=silence.to_human_string(),
            )

    def _watch_on_sale_queue(self, each: OnSaleQueue) -> None:
        settings = self._settings
        self._add(
            "OnSaleQueueOldestMessage",
            texts.ON_SALE_QUEUE_AGE,
            metric=each.queue.metric_approximate_age_of_oldest_message(
                period=settings.period, statistic=_Stats.MAXIMUM
            ),
            threshold=settings.on_sale_message_age.to_seconds(),
            age=settings.on_sale_message_age.to_human_string(),
        )
        self._watch_queue(each.dlq, texts.ON_SALE_DLQ)

    def _watch_webhook_route(self, route: WebhookRoute) -> None:
        settings = self._settings
        self._add(
            "WebhookServerErrors",
            texts.WEBHOOK_5XX,
            metric=route.metric("5XXError", period=settings.period),
            threshold=settings.webhook_server_errors,
        )
        self._add(
            "WebhookLatency",
            texts.WEBHOOK_LATENCY,
            metric=route.metric("Latency", statistic="p99", period=settings.period),
            threshold=settings.webhook_latency.to_milliseconds(),
            latency=settings.webhook_latency.to_human_string(),
        )

    def _watch_reconciliation(self, net: Reconciliation, metrics: SettlementMetrics) -> None:
        settings, label = self._settings, net.function.node.id
        self._add(
            f"{label}Errors",
            texts.RECONCILIATION_FAILED,
            metric=net.function.function.metric_errors(period=settings.period),
            label=label,
        )
        self._add(
            "Reconciled",
            texts.RECONCILED,
            metric=metrics.metric(SettlementMetric.RECONCILED, period=settings.period),
            threshold=settings.reconciled,
        )
        self._add(
            "ReconciliationLag",
            texts.RECONCILIATION_LAG,
            metric=metrics.metric(
                SettlementMetric.RECONCILIATION_LAG,
                statistic=_Stats.MINIMUM,
                period=settings.reconciliation_lag,
            ),
            threshold=settings.reconciliation_lag.to_seconds(),
            # Each run reports it: without a data point there was no run.
            missing_data=_MissingData.BREACHING,
            lag=settings.reconciliation_lag.to_human_string(),
        )

    def _watch_settlements(self, metrics: SettlementMetrics, *, signatures: bool) -> None:
        settings = self._settings
        self._add(
            "PaymentAnomalies",
            texts.PAYMENT_ANOMALIES,
            metric=metrics.metric(SettlementMetric.PAYMENT_ANOMALY, period=settings.period),
            threshold=settings.payment_anomalies,
        )
        span = Duration.seconds(settings.period.to_seconds() * settings.retry_periods)
        self._add(
            "SettlementsStuckInRetry",
            texts.SETTLEMENTS_STUCK_IN_RETRY,
            metric=metrics.metric(SettlementMetric.SETTLEMENT_RETRY, period=settings.period),
            # A retry now and then is what an event that overtakes its own order costs.
            periods=settings.retry_periods,
            span=span.to_human_string(),
        )
        if signatures:
            self._add(
                "SignatureFailures",
                texts.SIGNATURE_FAILURES,
                metric=metrics.metric(SettlementMetric.UNAUTHENTICATED, period=settings.period),
                threshold=settings.signature_failures,
            )

    def _watch_queue(self, each: FailureQueue, text: AlarmText) -> None:
        """Watch for a first message, and for one that nobody deals with."""
        settings, construct_id = self._settings, pascal_case(each.label)
        self._add(
            f"{construct_id}VisibleMessages",
            text,
            # Not NumberOfMessagesSent, which does not count what was moved in by a failure.
            metric=each.queue.metric_approximate_number_of_messages_visible(
                period=settings.period, statistic=_Stats.MAXIMUM
            ),
            # SQS reports on active queues only. Without a data point the queue is not empty: the
            # alarm stays as it is until one says that the message is gone.
            missing_data=_MissingData.IGNORE,
            label=each.label,
        )
        self._add(
            f"{construct_id}OldestMessage",
            text.with_age(),
            # Reported only while there is a message: here missing data does mean an empty queue.
            metric=each.queue.metric_approximate_age_of_oldest_message(
                period=settings.period, statistic=_Stats.MAXIMUM
            ),
            threshold=settings.queue_message_age.to_seconds(),
            label=each.label,
            age=settings.queue_message_age.to_human_string(),
        )

    def _add(
        self,
        construct_id: str,
        text: AlarmText,
        *,
        metric: cloudwatch.IMetric,
        threshold: float = 1,
        periods: int = 1,
        operator: cloudwatch.ComparisonOperator = _Operator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing_data: cloudwatch.TreatMissingData = _MissingData.NOT_BREACHING,
        **facts: str,
    ) -> None:
        description = text.describe(self._settings.runbook_url, **facts)
        require_between(
            f"The description of the alarm {construct_id}",
            0 if is_unresolved(description) else len(description),
            0,
            _LONGEST_DESCRIPTION,
            unit="characters",
            hint="Shorten AlarmSettings.runbook_url.",
        )
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=physical_name(self._name_prefix, construct_id),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=operator,
            evaluation_periods=periods,
            treat_missing_data=missing_data,
        )
        alarm.add_alarm_action(self._action)
        if self._settings.notify_on_recovery:
            alarm.add_ok_action(self._action)
        self.alarms.append(alarm)


def _takes_batches_alone(function: SettlementFunction, queue: OnSaleQueue | None) -> bool:
    """Return whether nothing invokes the function asynchronously: its retries are the queue's."""
    return queue is not None and queue.function is function and not queue.draining
