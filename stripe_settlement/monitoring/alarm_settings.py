"""When the alarms fire, who is notified, and why each threshold is what it is."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_kms as kms

from stripe_settlement._validation import Checked, is_unresolved, require_known

_LONGEST_SILENCE_HOURS = 7 * 24
"""CloudWatch evaluates an alarm with periods of an hour over at most seven days."""


@dataclass(frozen=True, kw_only=True)
class AlarmSettings(Checked):
    """Thresholds of `SettlementAlarms`. `AlarmSettings()` is valid as it is.

    The rule behind the defaults: one lost or rejected payment is one customer without a ticket, so
    a count fires at the first occurrence. A field says so where it departs from that.

    Raises:
        ValueError: a threshold could never fire, or CloudWatch would reject it.
    """

    email_subscriptions: tuple[str, ...] = ()
    """Addresses subscribed to the topic created here, never to an existing one. Each has to confirm
    the subscription that SNS sends on the first deployment; until then it is not notified."""

    topic_key: kms.IKey | None = None
    """Customer-managed key of the topic created here, whose policy is extended so that CloudWatch
    may use it. None: the messages, which hold alarms' texts and no payment, are not encrypted at
    rest; AWS's own key for SNS would drop every alarm, because CloudWatch may not use it."""

    runbook_url: str = "docs/runbook.md"
    """Address of the runbook, without an anchor. It ends every alarm's description, so make it one
    that opens from a message, `https://…/docs/runbook.md`; the default is its path here."""

    notify_on_recovery: bool = False
    """Whether the return to OK is published too. Off, because a message in flight is not visible
    while the operator looks at it: its alarm recovers without anything being settled."""

    period: Duration = Duration.minutes(5)  # noqa: RUF009 - immutable; a Duration has no setters
    """Length of one evaluation period, in whole minutes. Five minutes keep the notifications of a
    burst few and are short next to the days Stripe and the queues retain an event."""

    function_errors: int = 1
    """Invocations of one function in a period that ended in an exception, a crash or a timeout."""

    function_throttles: int = 1
    """Throttled invocations of one function in a period. Lambda retries the asynchronous ones for
    hours, but a throttle means the reserved concurrency no longer fits the traffic."""

    timeout_fraction: float = 0.8
    """Share of the function's timeout, above 0 and up to 1, that the slowest invocation of a
    period may take. Below 1, so that it fires before the first invocation is killed."""

    async_event_age: Duration = Duration.minutes(5)  # noqa: RUF009
    """How long an event may wait for its invocation. Not at the first second: Lambda's two retries
    come one and two minutes later, so only an event older than those is stuck in the queue."""

    queue_message_age: Duration = Duration.hours(4)  # noqa: RUF009
    """How old the oldest message of a failure queue may grow. The first message has fired already;
    this one says that nobody has dealt with it, long before the queue deletes it."""

    on_sale_message_age: Duration = Duration.minutes(10)  # noqa: RUF009
    """How old the oldest message of the on-sale queue may grow. Above six minutes, the default wait
    for a second attempt, so that one failed attempt does not fire; an on-sale drains faster."""

    webhook_server_errors: int = 1
    """5XX responses of the webhook route in a period. Stripe retries them for three days (live)."""

    webhook_latency: Duration = Duration.seconds(10)  # noqa: RUF009
    """99th percentile of the webhook's latency. Above a cold start and a wait for a row lock,
    below the 29 s after which API Gateway gives up and Stripe sees a failure."""

    signature_failures: int = 1
    """Deliveries rejected for their signature in a period. A wrong secret rejects real payments,
    and a quiet shop has one per hour. If scanners find the URL, raise it; do not switch it off."""

    payment_anomalies: int = 1
    """Payments in a period that could not be matched with their order: each needs the operator."""

    reconciled: int = 1
    """Orders in a period that reconciliation had to settle: both routes had missed each."""

    reconciliation_lag: Duration = Duration.hours(1)  # noqa: RUF009
    """How old reconciliation's watermark may be, in whole minutes and at most a day. An hour is
    several runs, so that one that fails is forgiven; without any run for that long it fires too."""

    retry_periods: int = 3
    """Consecutive periods with a retried settlement before it counts as stuck. Not the first one:
    an event that overtakes its own order, or a deadlock, is retried once and settles."""

    no_events_for: Duration | None = None
    """Silence of the event route that fires, in whole hours, at most 168. Off (`None`) because
    only the owner knows how long a quiet night is; set it wherever sales are steady."""

    def _check(self) -> None:
        self._require_counts()
        self._require_period()
        lag = self.reconciliation_lag.to_seconds()
        if lag < 60 or lag % 60 or lag > 86_400:
            raise ValueError(
                f"reconciliation_lag is {self.reconciliation_lag.to_human_string()}; allowed are "
                "whole minutes, up to the day CloudWatch looks back."
            )
        require_known("timeout_fraction", self.timeout_fraction)
        if not 0 < self.timeout_fraction <= 1:
            raise ValueError(
                f"timeout_fraction is {self.timeout_fraction}; allowed is a share of the timeout "
                "above 0 and up to 1, because no invocation runs longer than its timeout."
            )
        if not self.runbook_url or "#" in self.runbook_url:
            raise ValueError(
                f"runbook_url is {self.runbook_url!r}; allowed is the address of a page, without "
                "an anchor: each alarm adds its own."
            )
        for address in self.email_subscriptions:
            if not is_unresolved(address) and "@" not in address:
                raise ValueError(
                    f"email_subscriptions holds {address!r}; allowed are e-mail addresses. For "
                    "other protocols pass an alarm_topic of your own."
                )

    def _require_counts(self) -> None:
        for name in (
            "function_errors",
            "function_throttles",
            "webhook_server_errors",
            "signature_failures",
            "payment_anomalies",
            "reconciled",
            "retry_periods",
        ):
            count = getattr(self, name)
            if not is_unresolved(count) and count < 1:
                raise ValueError(
                    f"{name} is {count}; allowed is 1 or more. To silence an alarm, disable its "
                    "actions in CloudWatch for as long as you need."
                )

    def _require_period(self) -> None:
        require_known("retry_periods", self.retry_periods)
        seconds = self.period.to_seconds()
        if seconds < 60 or seconds % 60 or seconds * self.retry_periods > 86_400:
            raise ValueError(
                f"period is {seconds:g} seconds; allowed are whole minutes, of which retry_periods "
                f"({self.retry_periods}) fit into the day CloudWatch looks back."
            )
        if self.no_events_for is None:
            return
        hours = self.no_events_for.to_minutes() / 60
        if hours < 1 or hours % 1 or hours > _LONGEST_SILENCE_HOURS:
            raise ValueError(
                f"no_events_for is {hours:g} hours; allowed are 1 to {_LONGEST_SILENCE_HOURS} full "
                "hours. None switches the alarm off."
            )
