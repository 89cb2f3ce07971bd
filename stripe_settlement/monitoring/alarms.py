"""One alarm for each way a paid order could stay unsettled, or settle without anybody knowing."""

import re

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement.monitoring import alarm_descriptions as texts
from stripe_settlement.monitoring.alarm_descriptions import AlarmText
from stripe_settlement.monitoring.alarm_settings import AlarmSettings
from stripe_settlement.monitoring.metrics import (
    SettlementMetric,
    api_metric,
    rule_metric,
    settlement_metric,
)

_MissingData = cloudwatch.TreatMissingData
_Operator = cloudwatch.ComparisonOperator


class SettlementAlarms(Construct):
    """Alarms over the parts that are handed to it, all of them telling one SNS topic.

    Each `watch_…` method takes one part. Every description says what happened, what is at risk and
    which entry of the runbook helps. Missing data is not breaching unless an alarm says otherwise:
    most of these metrics exist only while something goes wrong, or while there is traffic.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic,
        settings: AlarmSettings | None = None,
        name_prefix: str | None = None,
    ) -> None:
        """
        Args:
            scope: the parent construct.
            construct_id: its id there.
            topic: told by every alarm. CloudWatch must be allowed to publish to it and, if it is
                encrypted, to use its key: see `AlarmTopic`.
            settings: thresholds.
            name_prefix: begins the alarms' physical names; without it CloudFormation names them.
        """
        super().__init__(scope, construct_id)
        self.alarms: list[cloudwatch.Alarm] = []
        """Every alarm so far, in the order of creation."""
        self._settings = settings or AlarmSettings()
        self._action = actions.SnsAction(topic)
        self._name_prefix = name_prefix

    def watch_function(
        self,
        function: lambda_.IFunction,
        *,
        label: str,
        timeout: Duration,
        failure_queue: sqs.IQueue | None = None,
    ) -> None:
        """Watch a function, its asynchronous invocations and its on-failure queue.

        Args:
            function: the function; an imported one too.
            label: what people call it. Part of the alarms' ids, names and descriptions.
            timeout: the function's, which `IFunction` does not tell.
            failure_queue: its on-failure destination, if it has one.
        """
        settings, role = self._settings, _pascal_case(label)
        self._add(
            f"{role}Errors",
            texts.FUNCTION_ERRORS,
            metric=function.metric_errors(period=settings.period),
            threshold=settings.function_errors,
            label=label,
        )
        self._add(
            f"{role}Throttles",
            texts.FUNCTION_THROTTLES,
            metric=function.metric_throttles(period=settings.period),
            threshold=settings.function_throttles,
            label=label,
        )
        self._add(
            f"{role}Duration",
            texts.FUNCTION_DURATION,
            metric=function.metric_duration(
                period=settings.period, statistic=cloudwatch.Stats.MAXIMUM
            ),
            threshold=timeout.to_milliseconds() * settings.timeout_fraction,
            label=label,
            share=f"{settings.timeout_fraction:.0%}",
            timeout=timeout.to_human_string(),
        )
        self._watch_asynchronous_invocations(function, label=label, failure_queue=failure_queue)

    def _watch_asynchronous_invocations(
        self, function: lambda_.IFunction, *, label: str, failure_queue: sqs.IQueue | None
    ) -> None:
        settings, role = self._settings, _pascal_case(label)

        def metric(name: str, statistic: str) -> cloudwatch.Metric:
            return function.metric(name, statistic=statistic, period=settings.period)

        self._add(
            f"{role}AsyncEventsDropped",
            texts.ASYNC_EVENTS_DROPPED,
            metric=metric("AsyncEventsDropped", cloudwatch.Stats.SUM),
            threshold=1,
            label=label,
            whereabouts="Its event should be in the on-failure queue; if it is not, only Stripe "
            "still has it."
            if failure_queue
            else "Its event is gone from AWS: the function has no on-failure destination.",
        )
        self._add(
            f"{role}AsyncEventAge",
            texts.ASYNC_EVENT_AGE,
            metric=metric("AsyncEventAge", cloudwatch.Stats.MAXIMUM),
            threshold=settings.async_event_age.to_milliseconds(),
            label=label,
            age=settings.async_event_age.to_human_string(),
        )
        if failure_queue is not None:
            self._add(
                f"{role}DestinationDeliveryFailures",
                texts.DESTINATION_DELIVERY_FAILURES,
                metric=metric("DestinationDeliveryFailures", cloudwatch.Stats.SUM),
                threshold=1,
                label=label,
            )
            self.watch_queue(
                failure_queue, label=f"{label} on-failure queue", text=texts.ON_FAILURE_QUEUE
            )

    def watch_event_route(
        self,
        *,
        rule: events.IRule,
        event_bus: events.IEventBus,
        uses_default_bus: bool,
        delivery_dlq: sqs.IQueue,
    ) -> None:
        """Watch the delivery from the event bus to the function, and the rule's dead-letter queue.

        Args:
            rule: the rule that takes Stripe's events off the bus.
            event_bus: the bus it is on.
            uses_default_bus: whether that is the account's `default` bus, whose rule metrics have
                other dimensions than those of any other bus.
            delivery_dlq: the dead-letter queue of the rule's target.
        """

        def metric(name: str, period: Duration = self._settings.period) -> cloudwatch.Metric:
            return rule_metric(
                name,
                rule=rule,
                event_bus=event_bus,
                uses_default_bus=uses_default_bus,
                period=period,
            )

        for name, text in (
            ("FailedInvocations", texts.RULE_FAILED_INVOCATIONS),
            ("InvocationsSentToDlq", texts.RULE_SENT_TO_DLQ),
            ("InvocationsFailedToBeSentToDlq", texts.RULE_DLQ_FAILURES),
        ):
            self._add(f"Rule{name}", text, metric=metric(name), threshold=1)
        self.watch_queue(delivery_dlq, label="Stripe event DLQ", text=texts.STRIPE_EVENT_DLQ)
        if (silence := self._settings.no_events_for) is not None:
            self._add(
                "NoStripeEvents",
                texts.NO_STRIPE_EVENTS,
                # Counted in hours: CloudWatch's longest single period is a day.
                metric=metric("Invocations", Duration.hours(1)),
                periods=int(silence.to_hours()),
                threshold=1,
                operator=_Operator.LESS_THAN_THRESHOLD,
                # EventBridge sends no zeros of this metric: here missing data is the breach.
                missing_data=_MissingData.BREACHING,
                silence=silence.to_human_string(),
            )

    def watch_webhook(self, *, api_name: str, stage_name: str) -> None:
        """Watch the answers of the webhook route's stage.

        Args:
            api_name: name of the REST API, by which CloudWatch tells APIs apart.
            stage_name: the stage Stripe calls.
        """
        settings = self._settings

        def metric(name: str, statistic: str) -> cloudwatch.Metric:
            return api_metric(
                name,
                api_name=api_name,
                stage_name=stage_name,
                statistic=statistic,
                period=settings.period,
            )

        self._add(
            "WebhookServerErrors",
            texts.WEBHOOK_5XX,
            metric=metric("5XXError", cloudwatch.Stats.SUM),
            threshold=settings.webhook_server_errors,
        )
        self._add(
            "WebhookLatency",
            texts.WEBHOOK_LATENCY,
            metric=metric("Latency", "p99"),
            threshold=settings.webhook_latency.to_milliseconds(),
            latency=settings.webhook_latency.to_human_string(),
        )

    def watch_settlements(self, *, namespace: str, service: str, webhook: bool) -> None:
        """Watch what the functions themselves report.

        Args:
            namespace: of their metrics, `POWERTOOLS_METRICS_NAMESPACE`.
            service: value of their `service` dimension, `POWERTOOLS_SERVICE_NAME`.
            webhook: whether there is a webhook, the only route that checks signatures.
        """
        settings = self._settings

        def metric(name: SettlementMetric) -> cloudwatch.Metric:
            return settlement_metric(
                name, namespace=namespace, service=service, period=settings.period
            )

        self._add(
            "PaymentAnomalies",
            texts.PAYMENT_ANOMALIES,
            metric=metric(SettlementMetric.PAYMENT_ANOMALY),
            threshold=settings.payment_anomalies,
        )
        span = Duration.seconds(settings.period.to_seconds() * settings.retry_periods)
        self._add(
            "SettlementsStuckInRetry",
            texts.SETTLEMENTS_STUCK_IN_RETRY,
            metric=metric(SettlementMetric.SETTLEMENT_RETRY),
            threshold=1,
            # A retry now and then is what an event that overtakes its own order costs.
            periods=settings.retry_periods,
            span=span.to_human_string(),
        )
        if webhook:
            self._add(
                "SignatureFailures",
                texts.SIGNATURE_FAILURES,
                metric=metric(SettlementMetric.UNAUTHENTICATED),
                threshold=settings.signature_failures,
            )

    def watch_queue(self, queue: sqs.IQueue, *, label: str, text: AlarmText) -> None:
        """Watch a failure queue: for a first message, and for one that nobody deals with.

        Args:
            queue: a queue that is empty as long as all is well.
            label: what people call it. Part of the alarms' ids, names and descriptions.
            text: what a message in it means. The runbook needs its entry and one ending in `-age`.
        """
        settings, role = self._settings, _pascal_case(label)
        self._add(
            f"{role}VisibleMessages",
            text,
            # Not NumberOfMessagesSent, which does not count what was moved in by a failure.
            metric=queue.metric_approximate_number_of_messages_visible(
                period=settings.period, statistic=cloudwatch.Stats.MAXIMUM
            ),
            threshold=1,
            # SQS reports on active queues only. Its silence does not empty a queue: the alarm stays
            # as it is until a data point says that the message is gone.
            missing_data=_MissingData.IGNORE,
            label=label,
        )
        self._add(
            f"{role}OldestMessage",
            text.with_age(),
            # Reported only while there is a message: here missing data does mean an empty queue.
            metric=queue.metric_approximate_age_of_oldest_message(
                period=settings.period, statistic=cloudwatch.Stats.MAXIMUM
            ),
            threshold=settings.queue_message_age.to_seconds(),
            label=label,
            age=settings.queue_message_age.to_human_string(),
        )

    def _add(
        self,
        construct_id: str,
        text: AlarmText,
        *,
        metric: cloudwatch.IMetric,
        threshold: float,
        periods: int = 1,
        operator: cloudwatch.ComparisonOperator = _Operator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing_data: cloudwatch.TreatMissingData = _MissingData.NOT_BREACHING,
        **facts: str,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=self._name_prefix and f"{self._name_prefix}-{_kebab_case(construct_id)}",
            alarm_description=text.describe(self._settings.runbook_url, **facts),
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


def _pascal_case(label: str) -> str:
    """`Stripe event DLQ` → `StripeEventDLQ`; a label in that form stays as it is."""
    words = re.split(r"[^A-Za-z0-9]+", label)
    return "".join(word[:1].upper() + word[1:] for word in words)


def _kebab_case(construct_id: str) -> str:
    """`StripeEventDLQOldestMessage` → `stripe-event-dlq-oldest-message`."""
    boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(boundary, "-", construct_id).lower()
