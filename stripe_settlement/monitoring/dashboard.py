"""One page that answers: is money being settled?"""

from collections.abc import Iterable, Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement.monitoring.metrics import (
    ANOMALY_KINDS,
    FIVE_MINUTES,
    OUTCOMES,
    SettlementMetric,
    api_metric,
    rule_metric,
    settlement_metric,
)

_PAGE = 24
_HALF = _PAGE // 2
_THIRD = _PAGE // 3
_ONE_MINUTE = Duration.minutes(1)

_INTRODUCTION = """\
## Is money being settled?
Yes, if **Settled** moves while tickets are sold, the lag stays at seconds, and anomalies, retries \
and waiting messages are zero. No data means that nothing was reported, not that all is well."""

_RULE_METRICS = (
    "Invocations",
    "FailedInvocations",
    "InvocationsSentToDlq",
    "InvocationsFailedToBeSentToDlq",
)
_ASYNC_FAILURES = ("AsyncEventsDropped", "DestinationDeliveryFailures")
_PERCENTILES = ("p50", "p99")


class SettlementDashboard(Construct):
    """The answer on top; below it where to look for a reason: routes, functions, queues.

    Every number is a metric as it was sent. No metric math: it would fill a gap with a zero, and
    a gap is what a broken route looks like.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        namespace: str,
        service: str,
        rule: events.IRule,
        event_bus: events.IEventBus,
        uses_default_bus: bool,
        functions: Mapping[str, lambda_.IFunction],
        queues: Mapping[str, sqs.IQueue],
        alarms: Sequence[cloudwatch.IAlarm],
        webhook_api_name: str | None = None,
        webhook_stage_name: str | None = None,
        name_prefix: str | None = None,
    ) -> None:
        """
        Args:
            scope: the parent construct.
            construct_id: its id there.
            namespace: of the functions' own metrics, `POWERTOOLS_METRICS_NAMESPACE`.
            service: value of their `service` dimension, `POWERTOOLS_SERVICE_NAME`.
            rule: the rule of the event route.
            event_bus: the bus it is on.
            uses_default_bus: whether that is the account's `default` bus.
            functions: by what people call them, in the order they are shown.
            queues: the failure queues, by what people call them.
            alarms: whose states stand on top.
            webhook_api_name: name of the webhook's REST API; None without a webhook.
            webhook_stage_name: its stage; needed with `webhook_api_name`.
            name_prefix: the dashboard is called `<prefix>-settlement`. Without it CloudFormation
                names it, because a dashboard's name is taken once in an account and region.

        Raises:
            ValueError: one of `webhook_api_name` and `webhook_stage_name` came without the other.
        """
        super().__init__(scope, construct_id)
        if (webhook_api_name is None) != (webhook_stage_name is None):
            raise ValueError(
                f"webhook_api_name is {webhook_api_name!r} and webhook_stage_name "
                f"{webhook_stage_name!r}; give both, or neither if there is no webhook."
            )
        self._namespace = namespace
        self._service = service
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=name_prefix and f"{name_prefix}-settlement",
            default_interval=Duration.hours(3),
        )
        self._add_answer(queues, alarms)
        self._add_event_route(rule, event_bus, uses_default_bus)
        if webhook_api_name is not None and webhook_stage_name is not None:
            self._add_webhook_route(webhook_api_name, webhook_stage_name)
        self._add_functions(functions)
        self._add_queues(queues)

    def _add_answer(
        self, queues: Mapping[str, sqs.IQueue], alarms: Sequence[cloudwatch.IAlarm]
    ) -> None:
        settled = self._metric(SettlementMetric.SETTLED, period=_ONE_MINUTE)
        lag = [
            self._metric(SettlementMetric.SETTLEMENT_LAG, statistic=p, label=p)
            for p in _PERCENTILES
        ]
        waiting = [
            queue.metric_approximate_number_of_messages_visible(label=label, period=_ONE_MINUTE)
            for label, queue in queues.items()
        ]
        self.dashboard.add_widgets(
            cloudwatch.TextWidget(markdown=_INTRODUCTION, width=_PAGE, height=2)
        )
        self.dashboard.add_widgets(
            _counts("Settled orders a minute", [settled], width=_THIRD),
            _milliseconds("Lag from Stripe's event to the commit", lag, width=_THIRD),
            cloudwatch.AlarmStatusWidget(
                title="Alarms ringing now, none if empty",
                alarms=list(alarms),
                states=[cloudwatch.AlarmState.ALARM],
                width=_THIRD,
                height=6,
            ),
        )
        self.dashboard.add_widgets(
            self._total("Settled", SettlementMetric.SETTLED),
            self._total("Anomalies, a person decides", SettlementMetric.PAYMENT_ANOMALY),
            self._total("Retries, tried again later", SettlementMetric.SETTLEMENT_RETRY),
            cloudwatch.SingleValueWidget(
                title="Messages waiting for a redrive, now",
                metrics=waiting,
                width=_HALF,
                height=4,
            ),
        )

    def _add_event_route(
        self, rule: events.IRule, event_bus: events.IEventBus, uses_default_bus: bool
    ) -> None:
        self._add_heading("Routes: what reaches us, and what comes of it")
        deliveries = [
            rule_metric(
                name,
                rule=rule,
                event_bus=event_bus,
                uses_default_bus=uses_default_bus,
                label=name,
            )
            for name in _RULE_METRICS
        ]
        self.dashboard.add_widgets(
            _counts("EventBridge rule", deliveries, width=_THIRD),
            _counts("Outcomes, both routes", map(self._metric, OUTCOMES), width=_THIRD),
            _counts("Anomalies by kind", map(self._metric, ANOMALY_KINDS), width=_THIRD),
        )

    def _add_webhook_route(self, api_name: str, stage_name: str) -> None:
        def metric(name: str, statistic: str, label: str) -> cloudwatch.Metric:
            return api_metric(
                name, api_name=api_name, stage_name=stage_name, statistic=statistic, label=label
            )

        answers = [
            metric(name, cloudwatch.Stats.SUM, label)
            for name, label in (("Count", "requests"), ("4XXError", "4XX"), ("5XXError", "5XX"))
        ]
        refused = self._metric(SettlementMetric.UNAUTHENTICATED)
        self.dashboard.add_widgets(
            _counts("Webhook answers", answers, width=_THIRD),
            _milliseconds(
                "Webhook answer time", [metric("Latency", p, p) for p in _PERCENTILES], width=_THIRD
            ),
            _counts("Webhook deliveries refused", [refused], width=_THIRD),
        )

    def _add_functions(self, functions: Mapping[str, lambda_.IFunction]) -> None:
        self._add_heading("Functions")
        for label, function in functions.items():
            invocations = [
                function.metric_invocations(label="invocations"),
                function.metric_errors(label="errors"),
                function.metric_throttles(label="throttles"),
            ]
            durations = [
                function.metric_duration(statistic=statistic, label=statistic)
                for statistic in (*_PERCENTILES, cloudwatch.Stats.MAXIMUM)
            ]
            dropped = [
                function.metric(name, statistic=cloudwatch.Stats.SUM, label=name)
                for name in _ASYNC_FAILURES
            ]
            event_age = function.metric(
                "AsyncEventAge", statistic=cloudwatch.Stats.MAXIMUM, label="event age (ms)"
            )
            self.dashboard.add_widgets(
                _counts(label, invocations, width=_THIRD),
                _milliseconds(f"{label}: duration", durations, width=_THIRD),
                cloudwatch.GraphWidget(
                    title=f"{label}: asynchronous invocations",
                    left=dropped,
                    left_y_axis=_from_zero(),
                    right=[event_age],
                    right_y_axis=_from_zero("ms"),
                    width=_THIRD,
                ),
            )

    def _add_queues(self, queues: Mapping[str, sqs.IQueue]) -> None:
        self._add_heading("Failure queues")
        messages = [
            queue.metric_approximate_number_of_messages_visible(label=label)
            for label, queue in queues.items()
        ]
        in_hand = [
            queue.metric_approximate_number_of_messages_not_visible(label=f"{label}, in hand")
            for label, queue in queues.items()
        ]
        ages = [
            queue.metric_approximate_age_of_oldest_message(label=label)
            for label, queue in queues.items()
        ]
        self.dashboard.add_widgets(
            _counts("Messages, waiting and in somebody's hand", messages + in_hand, width=_HALF),
            cloudwatch.GraphWidget(
                title="Age of the oldest message",
                left=ages,
                left_y_axis=_from_zero("s"),
                width=_HALF,
            ),
        )

    def _add_heading(self, text: str) -> None:
        self.dashboard.add_widgets(
            cloudwatch.TextWidget(markdown=f"### {text}", width=_PAGE, height=1)
        )

    def _total(self, title: str, name: SettlementMetric) -> cloudwatch.IWidget:
        """The sum over whatever time range the reader has chosen."""
        return cloudwatch.SingleValueWidget(
            title=title,
            metrics=[self._metric(name)],
            set_period_to_time_range=True,
            width=_PAGE // 6,
            height=4,
        )

    def _metric(
        self,
        name: SettlementMetric,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        return settlement_metric(
            name,
            namespace=self._namespace,
            service=self._service,
            statistic=statistic,
            period=period,
            label=label or name.value,
        )


def _counts(
    title: str, metrics: Iterable[cloudwatch.IMetric], *, width: int
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title, left=list(metrics), left_y_axis=_from_zero(), width=width
    )


def _milliseconds(
    title: str, metrics: Iterable[cloudwatch.IMetric], *, width: int
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title, left=list(metrics), left_y_axis=_from_zero("ms"), width=width
    )


def _from_zero(unit: str | None = None) -> cloudwatch.YAxisProps:
    return cloudwatch.YAxisProps(min=0, label=unit, show_units=False)
