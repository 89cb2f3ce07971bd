"""Every knob of the service, its default, and the reason for it.

Each class is valid as it is, and each default is written here and nowhere else. What belongs to
the account it is deployed into (a bus, a VPC, a topic, a key) is an argument of the constructs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager

from stripe_settlement._validation import (
    Checked,
    require_between,
    require_duration,
    require_known,
    require_match,
    require_network,
    require_removal_policy,
)
from stripe_settlement.monitoring.alarm_settings import AlarmSettings

STRIPE_DETAIL_TYPES = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
)
"""The types that change an order. The functions ignore every other one."""

_MIB = 1024 * 1024
_TAG = r"[\w\s.:/=+@-]"


@dataclass(frozen=True, kw_only=True)
class LogSettings(Checked):
    """A log group of our own: Lambda's automatic ones never expire."""

    retention: logs.RetentionDays = logs.RetentionDays.TWO_WEEKS
    """How long lines are retained. As long as the failure queues retain a message, so that whoever
    redrives one can still read why it failed."""

    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    """What happens to the lines when the stack goes. Retained, because a deletion is often the very
    thing one reads them for; they expire by themselves."""

    encryption_key: kms.IKey | None = None
    """Customer-managed key, no alias, whose policy is extended so that CloudWatch Logs may use it.
    None: CloudWatch Logs' own."""

    def _check(self) -> None:
        require_removal_policy("removal_policy", self.removal_policy)


@dataclass(frozen=True, kw_only=True)
class FunctionSettings(Checked):
    """What the functions have in common; they run the same code from the same asset.

    Raises:
        ValueError: Lambda would reject a value, or accept it and settle nothing.
    """

    runtime: lambda_.Runtime = lambda_.Runtime.PYTHON_3_13
    """The Python that this project's whole test suite runs under, the local cloud's functions too.
    Lambda runs newer ones, which have not been tried here."""

    architecture: lambda_.Architecture = lambda_.Architecture.X86_64
    """Instruction set. x86_64 because every tool emulates it; ARM_64 is the cheaper one."""

    memory_size: int = 512
    """MiB; Lambda gives CPU in proportion. Enough for a short cold start, since a settlement
    itself waits for the database and computes next to nothing."""

    timeout: Duration = Duration.seconds(60)  # noqa: RUF009 - immutable; a Duration has no setters
    """How long a delivery may take. Room for the in-process retries on a busy database; Lambda
    retries what takes longer. The webhook and the migration have timeouts of their own."""

    reserved_concurrency: int | None = 10
    """Maximum concurrent executions of each function, and so of its database connections. None
    leaves the functions in the account's pool: a fresh account's quota is too small to reserve
    from, and the deployment would fail. 0 pauses all that settles, until a deployment with another
    value: Lambda puts EventBridge's events into the on-failure queue, for a redrive, and Stripe
    repeats the webhook's."""

    tracing: bool = True
    """X-Ray for every function, so that a slow settlement can be told from a slow start."""

    log_level: lambda_.ApplicationLogLevel = lambda_.ApplicationLogLevel.INFO
    """Lowest level written. At INFO there is one line per outcome, which is the audit trail."""

    logs: LogSettings = LogSettings()
    """Where the JSON lines go and how long they stay."""

    retry_attempts: int = 2
    """Times Lambda invokes again after a failed asynchronous invocation, one and two minutes later.
    Lambda allows no more; what fails then waits in the on-failure queue."""

    max_event_age: Duration = Duration.hours(6)  # noqa: RUF009
    """How long Lambda retains an asynchronous event it cannot run, because it is throttled. The
    longest Lambda allows: settling late is better than settling by hand."""

    def _check(self) -> None:
        if self.runtime.family != lambda_.RuntimeFamily.PYTHON:
            raise ValueError(
                f"runtime is {self.runtime.name!r}; the functions are written in Python. Use a "
                "Python runtime, for example lambda_.Runtime.PYTHON_3_13."
            )
        require_between("memory_size", self.memory_size, 128, 10_240, unit="MiB")
        require_duration("timeout", self.timeout, timedelta(seconds=1), timedelta(minutes=15))
        if self.reserved_concurrency is not None:
            require_between(
                "reserved_concurrency",
                self.reserved_concurrency,
                0,
                1000,
                hint="To reserve nothing use None.",
            )
        require_between("retry_attempts", self.retry_attempts, 0, 2)
        require_duration(
            "max_event_age", self.max_event_age, timedelta(minutes=1), timedelta(hours=6)
        )


@dataclass(frozen=True, kw_only=True)
class QueueSettings(Checked):
    """The queues that hold what could not be delivered or settled.

    Raises:
        ValueError: SQS would reject a value.
    """

    retention: Duration = Duration.days(14)  # noqa: RUF009
    """How long a message waits for the operator. The longest SQS allows: each one is a payment."""

    visibility_timeout: Duration = Duration.seconds(60)  # noqa: RUF009
    """How long a message stays hidden from others while it is being redriven."""

    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    """What happens to the messages when the stack goes. Retained: they may be the only copy."""

    def _check(self) -> None:
        require_duration("retention", self.retention, timedelta(minutes=1), timedelta(days=14))
        require_duration(
            "visibility_timeout", self.visibility_timeout, timedelta(seconds=0), timedelta(hours=12)
        )
        require_removal_policy("removal_policy", self.removal_policy)


@dataclass(frozen=True, kw_only=True)
class OnSaleQueueSettings(Checked):
    """On-sale mode: a queue between the rule and the function, which settles a batch at once.

    Raises:
        ValueError: SQS or Lambda would reject a value.
    """

    draining: bool = False
    """Whether the rule delivers to the function directly again, while what is in the queue is still
    settled. The step on the way back: deploy it, wait until the queue is empty, then remove it."""

    batch_size: int = 50
    """Events of one invocation at most. A hot ticket's row is locked once for all of them."""

    batching_window: Duration = Duration.seconds(1)  # noqa: RUF009 - immutable
    """How long Lambda collects a batch that is not full, in whole seconds. What a buyer waits when
    few come; Lambda asks for at least one second if a batch has more than 10."""

    maximum_concurrency: int = 5
    """Batches settled at once, 2 or more, and no more than the function's reserved concurrency:
    what Lambda could not run would use up its attempts. More do not help a hot ticket."""

    max_receive_count: int = 5
    """Times a message is tried before it goes to the dead-letter queue. Between two of them are six
    times the function's timeout, as Lambda's documentation asks of the visibility timeout."""

    def _check(self) -> None:
        require_between("batch_size", self.batch_size, 1, 1000)
        if self.batching_window.to_milliseconds() % 1000:
            raise ValueError(
                f"batching_window is {self.batching_window.to_milliseconds():g} ms; allowed are "
                "whole seconds, which is how Lambda counts it."
            )
        require_duration(
            "batching_window",
            self.batching_window,
            timedelta(seconds=1 if self.batch_size > 10 else 0),
            timedelta(minutes=5),
        )
        require_between("maximum_concurrency", self.maximum_concurrency, 2, 1000)
        require_between("max_receive_count", self.max_receive_count, 1, 1000)


@dataclass(frozen=True, kw_only=True)
class EventSettings(Checked):
    """The rule that takes Stripe's events off the bus.

    Raises:
        ValueError: EventBridge would reject a value, or the functions would ignore the events.
    """

    enabled: bool = True
    """Whether the rule delivers. Off, events are lost: EventBridge does not retain them."""

    description: str = "Stripe's payment confirmations, to the function that settles the order"
    """What the console shows beside the rule."""

    detail_types: tuple[str, ...] = STRIPE_DETAIL_TYPES
    """Stripe's event types to deliver; their thin forms, which begin with `v1.`, come with them. A
    subset only if another consumer settles the rest."""

    retry_attempts: int = 3
    """Times EventBridge tries again to deliver an event to the function. Few: the reasons are a
    throttle or a missing permission, and after them the event is safe in the dead-letter queue."""

    max_event_age: Duration = Duration.hours(1)  # noqa: RUF009
    """How long EventBridge goes on trying. Short, so that the operator is notified soon."""

    queue: OnSaleQueueSettings | None = None
    """On-sale mode: many payments for few tickets within minutes. None: the rule invokes the
    function for each event, which is simpler and settles an ordinary day sooner."""

    bus_logs: events.LogConfig | None = None
    """What the bus created here logs about each delivery. The lines go where a delivery source of
    the bus (`AWS::Logs::DeliverySource`) sends them, which is the account's. Never with details:
    those hold the event, and so the payer's name and address. None: nothing. Not used with an
    existing bus."""

    def _check(self) -> None:
        unknown = [name for name in self.detail_types if name not in STRIPE_DETAIL_TYPES]
        if unknown or not self.detail_types:
            raise ValueError(
                f"detail_types is {self.detail_types!r}; allowed is one or more of "
                f"{', '.join(STRIPE_DETAIL_TYPES)}. The functions ignore other types: give those a "
                "rule of their own on the same bus."
            )
        if self.bus_logs and self.bus_logs.include_detail is events.IncludeDetail.FULL:
            raise ValueError(
                "bus_logs includes FULL details, and so names and addresses of payers; allowed is "
                "IncludeDetail.NONE. What an event held is in Stripe's dashboard, by its id."
            )
        require_match("description", self.description, r".{0,512}", allowed="512 characters")
        require_between("retry_attempts", self.retry_attempts, 0, 185)
        require_duration(
            "max_event_age", self.max_event_age, timedelta(minutes=1), timedelta(hours=24)
        )


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(Checked):
    """The route Stripe calls over HTTPS.

    Raises:
        ValueError: API Gateway would reject a value, or time out before the function does.
    """

    path: str = "/webhooks/stripe"
    """Path of the endpoint below the stage."""

    api_name: str | None = None
    """Name of the REST API, and its dimension in CloudWatch, so it must not be shared by two
    settlements of an account. None: after the resource prefix, `cachao` has `CachaoApi`, or else
    after the construct's path. Not used with an existing API."""

    stage_name: str = "Prod"
    """The stage, first part of the URL's path. With an existing API: the stage Stripe calls."""

    endpoint_type: apigateway.EndpointType = apigateway.EndpointType.REGIONAL
    """Stripe calls from few places; an edge network in front would only add a hop."""

    timeout: Duration = Duration.seconds(25)  # noqa: RUF009
    """The function's. Below the 29 s after which API Gateway gives up: a response nobody waits for
    would leave Stripe retrying an order that is settled."""

    throttle_burst_limit: int = 100
    """Requests of the stage that may come at once."""

    throttle_rate_limit: float = 50
    """Requests of the stage per second, in the long run. Far above any ticket sale, far below what
    the database could not take."""

    usage_plan: bool = True
    """Whether a usage plan is attached. It meters and limits callers that send an API key, which
    Stripe does not: what protects this route is the stage's throttle."""

    access_logs: LogSettings | None = LogSettings()
    """One JSON line per request, without query, headers or body. None switches them off. They need
    API Gateway's account-wide CloudWatch role in the account, see `cloud_watch_role`."""

    cloud_watch_role: bool = False
    """Whether to create API Gateway's account-wide CloudWatch role, for this region. Off, because
    an account has one: another stack's would be overwritten. Without any, the deployment of a stage
    with access logs fails; set this, or `access_logs=None`."""

    web_acl_arn: str | None = None
    """WAF web ACL, regional, for the stage of an API created here; of an existing API it is the
    owner's. None: the stage has none."""

    allowed_addresses: tuple[str, ...] = ()
    """Addresses (CIDR) from which alone an API created here is called, for example those in
    Stripe's "Domains and IP addresses". Empty: any, because Stripe changes them at short notice and
    the signature is what proves the caller."""

    tracing: bool = True
    """X-Ray for the stage, so that a trace begins where the request came in."""

    metrics: bool = True
    """Metrics for each method, on top of those for the stage."""

    max_body_bytes: int = 512 * 1024
    """Largest request body the function reads; it returns 413 for more. API Gateway itself lets
    10 MB through. Stripe's events are a hundred times smaller than this."""

    signature_tolerance: Duration = Duration.seconds(300)  # noqa: RUF009
    """How far a signature's time may be from ours, both ways. The default is Stripe's
    recommendation."""

    def _check(self) -> None:
        require_known("path", self.path)
        if self.endpoint_type is apigateway.EndpointType.PRIVATE:
            raise ValueError(
                "endpoint_type is PRIVATE, which only a VPC can call; allowed is REGIONAL or EDGE, "
                "because Stripe calls from the internet."
            )
        require_match(
            "path",
            self.path,
            r"(/[A-Za-z0-9._~-]+)+",
            allowed="a path of plain segments such as '/webhooks/stripe', without a final slash",
        )
        require_match(
            "stage_name", self.stage_name, r"[A-Za-z0-9_-]{1,128}", allowed="letters, digits, - _"
        )
        require_duration(
            "timeout",
            self.timeout,
            timedelta(seconds=1),
            timedelta(seconds=28),
            hint="API Gateway gives up after 29 s, and the function has to respond first.",
        )
        require_match(
            "web_acl_arn",
            self.web_acl_arn,
            r"arn:aws[a-z-]*:wafv2:[^:]+:\d{12}:regional/webacl/.+",
            allowed="the ARN of a regional WAFv2 web ACL",
        )
        for address in self.allowed_addresses:
            require_network("allowed_addresses", address)
        require_between("throttle_burst_limit", self.throttle_burst_limit, 1, 5000)
        require_between("throttle_rate_limit", self.throttle_rate_limit, 1, 10_000)
        require_between("max_body_bytes", self.max_body_bytes, 1024, 6 * _MIB, unit="bytes")
        require_duration(
            "signature_tolerance",
            self.signature_tolerance,
            timedelta(seconds=1),
            timedelta(hours=1),
        )


@dataclass(frozen=True, kw_only=True)
class MigrationSettings(Checked):
    """The function that brings our tables up to date at each deployment.

    Raises:
        ValueError: the deployment would give up before the function does.
    """

    timeout: Duration = Duration.minutes(5)  # noqa: RUF009
    """How long the migrations may take. They create small tables; the time is for the wait behind
    a lock. More than 14 minutes would outlast what waits for the result."""

    secret: secretsmanager.ISecret | None = None
    """JSON secret with `username` and `password` of a user that may create, alter and drop tables;
    the functions that settle never see it. None: the migrations use the database's own secret."""

    def _check(self) -> None:
        require_duration("timeout", self.timeout, timedelta(seconds=30), timedelta(minutes=14))


@dataclass(frozen=True, kw_only=True)
class StripeAccountSettings(Checked):
    """What a deployment with a Stripe API key creates at Stripe.

    Raises:
        ValueError: a value that CloudFormation or Stripe would refuse.
    """

    roll: int = 0
    """Raise it to roll the webhook's signing secret: a new endpoint works before the old one goes,
    and both secrets are valid meanwhile. What was deleted at Stripe by hand comes back with it."""

    api_version: str = "2026-10-28.endive"
    """Stripe API version that events are rendered in, pinned so that an upgrade of the account's
    default changes nothing here. Another one is another destination and another endpoint."""

    timeout: Duration = Duration.minutes(5)  # noqa: RUF009
    """How long one change at Stripe may take, the wait for the event source included. A deployment
    gives up a little later, and rolls back."""

    in_vpc: bool = False
    """Whether the functions that call Stripe run in the database's VPC too. They need no database,
    and in a VPC they need a NAT: to Stripe, and to where CloudFormation takes answers."""

    api_base: str | None = None
    """Address of Stripe's API; None: Stripe's own. For a Stripe that is played."""

    def _check(self) -> None:
        require_between("roll", self.roll, 0, 1_000_000)
        require_match(
            "api_version",
            self.api_version,
            r"20\d\d-\d\d-\d\d\.[a-z]+",
            allowed="a Stripe API version such as 2026-10-28.endive",
        )
        require_match(
            "api_base",
            self.api_base,
            r"https?://[^\s/]+",
            allowed="an address without a path, such as http://127.0.0.1:12111",
        )
        require_duration("timeout", self.timeout, timedelta(minutes=1), timedelta(minutes=15))


@dataclass(frozen=True, kw_only=True)
class ReconciliationSettings(Checked):
    """The scheduled function that settles what neither route has brought.

    Raises:
        ValueError: EventBridge would reject a value, or events would be missed.
    """

    interval: Duration = Duration.minutes(15)  # noqa: RUF009
    """Time between two runs, in whole minutes. How late a payment settles that both routes missed;
    a run without anything to settle costs one request to Stripe."""

    young_after: Duration = Duration.minutes(10)  # noqa: RUF009
    """Events younger than this are left to the routes, whose retries take a few minutes. Not
    shorter, or the alarm would fire for events that were about to settle."""

    overlap: Duration = Duration.minutes(5)  # noqa: RUF009
    """How much is listed again before the watermark, for events that Stripe's list shows late."""

    look_back: Duration = Duration.days(3)  # noqa: RUF009
    """How far back the first run looks: as long as Stripe itself retries the webhook in live mode.
    Stripe keeps events for 30 days."""

    timeout: Duration = Duration.minutes(5)  # noqa: RUF009
    """How long a run may take. What it does not reach is left to the next one."""

    def _check(self) -> None:
        require_duration("interval", self.interval, timedelta(minutes=1), timedelta(days=1))
        if self.interval.to_seconds() % 60:
            raise ValueError(
                f"interval is {self.interval.to_human_string()}; allowed are whole minutes, which "
                "is how EventBridge counts a rate."
            )
        require_duration("young_after", self.young_after, timedelta(seconds=0), timedelta(days=1))
        require_duration("overlap", self.overlap, timedelta(seconds=0), timedelta(days=1))
        require_duration("look_back", self.look_back, timedelta(hours=1), timedelta(days=30))
        require_duration("timeout", self.timeout, timedelta(seconds=30), timedelta(minutes=15))


@dataclass(frozen=True, kw_only=True)
class OperationsSettings(Checked):
    """The functions that the operator's command line asks the database through.

    Raises:
        ValueError: a function may not run for so long.
    """

    timeout: Duration = Duration.seconds(30)  # noqa: RUF009
    """How long one answer may take. A single query is given up after 20 seconds, so as not to weigh
    on a database in trouble."""

    def _check(self) -> None:
        require_duration("timeout", self.timeout, timedelta(seconds=10), timedelta(minutes=15))


@dataclass(frozen=True, kw_only=True)
class SettlementSettings(Checked):
    """Everything that can be configured. `SettlementSettings()` is valid as it is.

    Raises:
        ValueError: a name AWS would reject.
    """

    resource_prefix: str | None = None
    """Begins the physical names of what is created. None lets CloudFormation name them, so that
    two settlements fit into one account and a resource can be replaced."""

    service_name: str | None = None
    """Service in logs and tags and the metrics' only dimension, so it must not be shared by two
    settlements of an account. None: the resource prefix, or else the stack's name and the
    construct's path in it."""

    environment_name: str | None = None
    """Value of the tag `Environment`. None: `live` or `test`, after Stripe's mode."""

    metrics_namespace: str = "StripeSettlement"
    """CloudWatch namespace of what the functions count themselves."""

    stripe_account: str | None = None
    """Account (`acct_…`) whose events alone are settled: a connected one, or one that an
    organisation's destination names. Events that name no account, as those of an endpoint of the
    account itself, are then ignored. None settles those alone: the platform's own."""

    metadata_filter: tuple[str, str] | None = None
    """Key and value that a checkout's metadata must hold to be settled here; others are ignored.
    For two shops on one Stripe account, whose orders have the same numbers. None: all are ours."""

    order_grace: Duration = Duration.seconds(120)  # noqa: RUF009 - immutable
    """How long a paid order may be unknown before that is an anomaly: Stripe can be faster than a
    database replica."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of your own on everything created, beside Environment, Service, Component, ManagedBy."""

    dashboard: bool = True
    """Whether to create the dashboard; CloudWatch charges for each."""

    functions: FunctionSettings = FunctionSettings()
    """The functions of both routes and of the migration."""

    events: EventSettings = EventSettings()
    """The preferred route."""

    webhook: WebhookSettings | None = WebhookSettings()
    """The fallback route; None creates none."""

    stripe_resources: StripeAccountSettings = StripeAccountSettings()
    """What is created at Stripe, with an API key."""

    reconciliation: ReconciliationSettings | None = ReconciliationSettings()
    """The third net, with an API key alone; None creates none."""

    operations: OperationsSettings | None = OperationsSettings()
    """What the operator's command line asks the database through; None: it cannot ask."""

    queues: QueueSettings = QueueSettings()
    """The rule's dead-letter queue and the functions' on-failure queues."""

    migration: MigrationSettings | None = MigrationSettings()
    """The migrations at deployment; None if something else runs them, before the routes go live."""

    alarms: AlarmSettings = AlarmSettings()  # noqa: RUF009 - frozen, in a file of its own
    """Thresholds, and who is notified."""

    def _check(self) -> None:
        require_match(
            "resource_prefix",
            self.resource_prefix,
            r"[A-Za-z][A-Za-z0-9-]{0,30}",
            allowed="a letter and up to 30 letters, digits and hyphens",
        )
        require_match(
            "service_name",
            self.service_name,
            r"[A-Za-z0-9][A-Za-z0-9 _.:/=+@-]{0,254}",
            allowed="1 to 255 ASCII letters, digits, blanks and _ . : / = + @ -, beginning with a "
            "letter or digit: what a tag and a metric's dimension can both hold",
        )
        for key, value in {"Environment": self.environment_name or "", **self.tags}.items():
            require_match(
                "a tag's key",
                key,
                rf"(?!aws:){_TAG}{{1,128}}",
                allowed="1 to 128 letters, digits, blanks and _ . : / = + - @, not beginning with "
                "aws:",
            )
            require_match(
                f"the tag {key!r}",
                value,
                rf"{_TAG}{{0,256}}",
                allowed="up to 256 letters, digits, blanks and _ . : / = + - @",
            )
        self._check_on_sale_queue()
        self._check_alarms()
        for part in self.metadata_filter or ():
            # Stripe's limits for metadata: 40 characters of a key, 500 of a value.
            require_match(
                "metadata_filter",
                part,
                r"[A-Za-z0-9_.:/+@-]{1,40}",
                allowed="a key and a value of 1 to 40 letters, digits and _ . : / + @ -",
            )
        require_match(
            "stripe_account",
            self.stripe_account,
            r"acct_[A-Za-z0-9]+",
            allowed="the id of a Stripe account, acct_…",
        )
        require_match(
            "metrics_namespace",
            self.metrics_namespace,
            r"(?!AWS/)[A-Za-z0-9._/#:-]{1,255}",
            allowed="a CloudWatch namespace that does not begin with AWS/",
        )
        require_duration("order_grace", self.order_grace, timedelta(seconds=0), timedelta(hours=24))

    def _check_on_sale_queue(self) -> None:
        """Check that Lambda can run what it takes from the queue, and that SQS waits for it."""
        if self.events.queue is None:
            return
        if (reserved := self.functions.reserved_concurrency) == 0:
            raise ValueError(
                "functions.reserved_concurrency is 0, which pauses, and events.queue is set; "
                "allowed is one of them: what waits in the queue would use up its attempts and end "
                "in its dead-letter queue. Leave on-sale mode before you pause."
            )
        if reserved is not None:
            require_between(
                "events.queue.maximum_concurrency",
                self.events.queue.maximum_concurrency,
                2,
                reserved,
                hint="More than functions.reserved_concurrency would be throttled, and a message "
                "that is throttled often enough ends in the dead-letter queue.",
            )

    def _check_alarms(self) -> None:
        """Check that no alarm waits for what cannot happen."""
        limits = {
            "queue_message_age": ("queues.retention", self.queues.retention),
            "async_event_age": ("functions.max_event_age", self.functions.max_event_age),
        }
        if self.events.queue is not None:
            limits["on_sale_message_age"] = ("queues.retention", self.queues.retention)
        if self.webhook is not None:
            limits["webhook_latency"] = ("webhook.timeout", self.webhook.timeout)
        if (net := self.reconciliation) is not None:
            ordinary = net.interval.plus(net.young_after)
            if self.alarms.reconciliation_lag.to_milliseconds() <= ordinary.to_milliseconds():
                raise ValueError(
                    "alarms.reconciliation_lag is "
                    f"{self.alarms.reconciliation_lag.to_human_string()}; allowed is more than "
                    "reconciliation.interval and reconciliation.young_after together, "
                    f"{ordinary.to_human_string()}: the watermark is as old as that when all is "
                    "well."
                )
        for name, (limit, maximum) in limits.items():
            value = getattr(self.alarms, name)
            if value.to_milliseconds() >= maximum.to_milliseconds():
                raise ValueError(
                    f"alarms.{name} is {value.to_human_string()}; allowed is less than {limit}, "
                    f"{maximum.to_human_string()}: nothing lasts longer, so the alarm could not "
                    "fire."
                )
