"""One page that shows whether money is being settled."""

from collections.abc import Iterable, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stripe_settlement._naming import physical_name
from stripe_settlement.failure_queue import FailureQueue
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.monitoring.metrics import (
    ANOMALY_KINDS,
    FIVE_MINUTES,
    OUTCOMES,
    SettlementMetric,
    SettlementMetrics,
)
from stripe_settlement.reconciliation import Reconciliation
from stripe_settlement.routes.eventbridge import EventRoute
from stripe_settlement.routes.on_sale_queue import OnSaleQueue
from stripe_settlement.routes.webhook import WebhookRoute

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
    """A summary on top; below it where to look for a reason: routes, functions, queues.

    Every number is a metric as it was sent. No metric math: it would fill a gap with a zero, and
    a gap is what a broken route looks like.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Sequence[SettlementFunction],
        event_route: EventRoute,
        webhook_route: WebhookRoute | None,
        metrics: SettlementMetrics,
        reconciliation: Reconciliation | None = None,
        on_sale_queue: OnSaleQueue | None = None,
        alarms: Sequence[cloudwatch.IAlarm],
        name_prefix: str | None = None,
    ) -> None:
        """Create the dashboard.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            functions: the settlement functions, in the order they are shown.
            event_route: the preferred route.
            webhook_route: the fallback; None without one.
            metrics: what the functions report themselves.
            reconciliation: the third net; None without one.
            on_sale_queue: between the rule and its function; None without on-sale mode.
            alarms: whose states stand on top.
            name_prefix: the dashboard is called `<prefix>-settlement`. Without it CloudFormation
                names it, because a dashboard's name is taken once in an account and region.
        """
        super().__init__(scope, construct_id)
        self._metrics = metrics
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=physical_name(name_prefix, "settlement"),
            default_interval=Duration.hours(3),
        )
        queues = [event_route.dlq, *(each.failure_queue for each in functions)]
        if on_sale_queue is not None:
            queues.append(on_sale_queue.dlq)
        self._add_summary(queues, alarms)
        self._add_event_route(event_route)
        if on_sale_queue is not None:
            self._add_on_sale_queue(on_sale_queue)
        if webhook_route is not None:
            self._add_webhook_route(webhook_route)
        if reconciliation is not None:
            self._add_reconciliation(reconciliation)
        self._add_functions(functions)
        self._add_queues(queues)

    def _add_summary(
        self, queues: Sequence[FailureQueue], alarms: Sequence[cloudwatch.IAlarm]
    ) -> None:
        settled = self._metric(SettlementMetric.SETTLED, period=_ONE_MINUTE)
        lag = [
            self._metric(SettlementMetric.SETTLEMENT_LAG, statistic=p, label=p)
            for p in _PERCENTILES
        ]
        waiting = [
            each.queue.metric_approximate_number_of_messages_visible(
                label=each.label, period=_ONE_MINUTE
            )
            for each in queues
        ]
        self.dashboard.add_widgets(
            cloudwatch.TextWidget(markdown=_INTRODUCTION, width=_PAGE, height=2)
        )
        self.dashboard.add_widgets(
            _counts("Settled orders per minute", [settled], width=_THIRD),
            _milliseconds("Lag from Stripe's event to the commit", lag, width=_THIRD),
            cloudwatch.AlarmStatusWidget(
                title="Alarms firing now, none if empty",
                alarms=list(alarms),
                states=[cloudwatch.AlarmState.ALARM],
                width=_THIRD,
                height=6,
            ),
        )
        self.dashboard.add_widgets(
            self._total("Settled", SettlementMetric.SETTLED),
            self._total("Anomalies, the operator decides", SettlementMetric.PAYMENT_ANOMALY),
            self._total("Retries, tried again later", SettlementMetric.SETTLEMENT_RETRY),
            cloudwatch.SingleValueWidget(
                title="Messages waiting for a redrive, now",
                metrics=waiting,
                width=_HALF,
                height=4,
            ),
        )

    def _add_event_route(self, route: EventRoute) -> None:
        self._add_heading("Routes: deliveries and their outcomes")
        deliveries = [route.metric(name, label=name) for name in _RULE_METRICS]
        self.dashboard.add_widgets(
            _counts("EventBridge rule", deliveries, width=_THIRD),
            _counts("Outcomes, both routes", map(self._metric, OUTCOMES), width=_THIRD),
            _counts("Anomalies by kind", map(self._metric, ANOMALY_KINDS), width=_THIRD),
        )

    def _add_on_sale_queue(self, each: OnSaleQueue) -> None:
        queue = each.queue
        age = queue.metric_approximate_age_of_oldest_message(label="age")
        messages = [
            queue.metric_approximate_number_of_messages_visible(label="waiting"),
            queue.metric_approximate_number_of_messages_not_visible(label="being settled"),
        ]
        flow = [
            queue.metric_number_of_messages_sent(label="sent", statistic=cloudwatch.Stats.SUM),
            queue.metric_number_of_messages_deleted(
                label="settled", statistic=cloudwatch.Stats.SUM
            ),
        ]
        self.dashboard.add_widgets(
            _counts("On-sale queue", messages, width=_THIRD),
            cloudwatch.GraphWidget(
                title="On-sale queue: age of the oldest message",
                left=[age],
                left_y_axis=_from_zero("s"),
                width=_THIRD,
            ),
            _counts("On-sale queue: messages sent and settled", flow, width=_THIRD),
        )

    def _add_webhook_route(self, route: WebhookRoute) -> None:
        responses = [
            route.metric(name, label=label)
            for name, label in (("Count", "requests"), ("4XXError", "4XX"), ("5XXError", "5XX"))
        ]
        latency = [route.metric("Latency", statistic=p, label=p) for p in _PERCENTILES]
        rejected = self._metric(SettlementMetric.UNAUTHENTICATED)
        self.dashboard.add_widgets(
            _counts("Webhook responses", responses, width=_THIRD),
            _milliseconds("Webhook latency", latency, width=_THIRD),
            _counts("Webhook deliveries rejected", [rejected], width=_THIRD),
        )

    def _add_reconciliation(self, net: Reconciliation) -> None:
        function = net.function.function
        lag = self._metric(SettlementMetric.RECONCILIATION_LAG, statistic=cloudwatch.Stats.MAXIMUM)
        runs = [
            function.metric_invocations(label="runs"),
            function.metric_errors(label="failed"),
        ]
        self._add_heading("Reconciliation: what neither route brought")
        self.dashboard.add_widgets(
            _counts("Settled here", [self._metric(SettlementMetric.RECONCILED)], width=_THIRD),
            cloudwatch.GraphWidget(
                title="Age of the watermark",
                left=[lag],
                left_y_axis=_from_zero("s"),
                width=_THIRD,
            ),
            _counts("Runs", runs, width=_THIRD),
        )

    def _add_functions(self, functions: Sequence[SettlementFunction]) -> None:
        self._add_heading("Functions")
        for each in functions:
            label, function = each.node.id, each.function
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

    def _add_queues(self, queues: Sequence[FailureQueue]) -> None:
        self._add_heading("Failure queues")
        messages = [
            each.queue.metric_approximate_number_of_messages_visible(label=each.label)
            for each in queues
        ]
        in_flight = [
            each.queue.metric_approximate_number_of_messages_not_visible(
                label=f"{each.label}, in flight"
            )
            for each in queues
        ]
        ages = [
            each.queue.metric_approximate_age_of_oldest_message(label=each.label) for each in queues
        ]
        self.dashboard.add_widgets(
            _counts("Messages, waiting and in flight", messages + in_flight, width=_HALF),
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
        """Show the sum over whatever time range the reader has chosen."""
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
        return self._metrics.metric(
            name, statistic=statistic, period=period, label=label or name.value
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
