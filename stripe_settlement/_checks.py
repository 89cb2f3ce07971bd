"""Which arguments of `StripeSettlement` contradict each other, or would do harm in production."""

from collections.abc import Iterator, Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_events as events
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct, IConstruct

from stripe_settlement._validation import is_unresolved
from stripe_settlement.settings import SettlementSettings


def require_mode(livemode: object) -> None:
    """Check that the mode is True or False.

    Raises:
        TypeError: a text from a context or an environment, most likely.
    """
    if not isinstance(livemode, bool):
        raise TypeError(
            f"livemode is {livemode!r}; allowed is True (real money) or False (Stripe's test "
            "mode). A text such as 'false' would count as True: convert it first."
        )


def require_webhook(
    settings: SettlementSettings,
    *,
    stripe_secret: secretsmanager.ISecret | None,
    stripe_api_key_secret: secretsmanager.ISecret | None,
    rest_api: apigateway.IRestApi | None,
) -> None:
    """Check that a webhook can verify signatures, and that an API is given for a webhook only.

    Raises:
        ValueError: the secret is missing, or the API is one too many.
    """
    if settings.webhook is not None and stripe_secret is None and stripe_api_key_secret is None:
        raise ValueError(
            "The webhook needs stripe_secret, the secret with the endpoint's signing secret, or "
            "stripe_api_key_secret, the secret with a key to create the endpoint with. Pass one of "
            "them, or leave the webhook out with SettlementSettings(webhook=None)."
        )
    if settings.webhook is None and rest_api is not None:
        raise ValueError(
            f"rest_api {rest_api.node.path!r} came although the settings leave out the webhook. "
            "Drop rest_api, or give SettlementSettings a webhook."
        )


def require_own_account(
    settings: SettlementSettings, *, creates_destination: bool, creates_endpoint: bool
) -> None:
    """Check that what is created at Stripe sends the events of the account that is settled.

    Raises:
        ValueError: a connected account's events are settled.
    """
    if settings.stripe_account is not None and (creates_destination or creates_endpoint):
        raise ValueError(
            f"stripe_account is {settings.stripe_account!r} and stripe_api_key_secret came too; "
            "what a stack creates at Stripe sends the key's own account's events. Create the event "
            "destination and the webhook endpoint for connected accounts in Stripe, and pass "
            "event_source_name and stripe_secret beside the key."
        )


def require_topic(
    scope: Construct, settings: SettlementSettings, *, alarm_topic: sns.ITopic | None
) -> None:
    """Check that CloudWatch can publish to the topic, and that no addresses stand beside it.

    Raises:
        ValueError: addresses that would not be subscribed, or a topic that would get no alarm.
    """
    if alarm_topic is None:
        return
    if addresses := settings.alarms.email_subscriptions:
        raise ValueError(
            f"alarm_topic came with email_subscriptions {addresses!r}; allowed is one. Subscribe "
            "the addresses to your topic, or leave alarm_topic out to have one created for them."
        )
    if alarm_topic.fifo:
        raise ValueError(
            "alarm_topic is a FIFO topic; allowed is a standard one, because CloudWatch's alarms "
            "publish to no other. Subscribe a queue of yours to a standard topic instead."
        )
    here, there = Stack.of(scope).region, alarm_topic.env.region
    if _differ(here, there):
        raise ValueError(
            f"alarm_topic is in {there} and the alarms are in {here}; allowed is a topic in the "
            "alarms' region. Leave alarm_topic out, or create one here that forwards to yours."
        )


def require_local_bus(scope: Construct, event_bus: events.IEventBus | None) -> None:
    """Check that the bus is where the rule will be: a rule knows its bus only by the bare name.

    Raises:
        ValueError: the bus is in another account or region.
    """
    if event_bus is None:
        return
    stack = Stack.of(scope)
    for what, here, there in (
        ("account", stack.account, event_bus.env.account),
        ("region", stack.region, event_bus.env.region),
    ):
        if _differ(here, there):
            raise ValueError(
                f"event_bus is in the {what} {there} and the rule in {here}; allowed is a bus of "
                "the rule's own account and region. Deploy the settlement there, or forward the "
                "events with a rule on that bus to a bus here."
            )


def require_unique_names(scope: Construct, kind: type[Construct], *names: str) -> None:
    """Check that no other construct of this kind in the stack has one of these names.

    Args:
        scope: the construct that is being made.
        kind: its class.
        names: the attributes that have to differ.

    Raises:
        ValueError: two would share resources or metrics, and so alarms.
    """
    for other in _others(scope, kind):
        for name in names:
            value = getattr(scope, name)
            if value is not None and value == getattr(other, name):
                raise ValueError(
                    f"{name} is {value!r} for {scope.node.path} as well as for {other.node.path}; "
                    "each needs its own, or they share metrics and alarms. Give both a "
                    f"resource_prefix, or set {name.removeprefix('_')} of one."
                )


def _others(scope: Construct, kind: type[Construct]) -> Iterator[IConstruct]:
    for each in Stack.of(scope).node.find_all():
        if isinstance(each, kind) and each is not scope:
            yield each


def _differ(here: str, there: str) -> bool:
    return not is_unresolved(here) and not is_unresolved(there) and here != there


def production_errors(
    settings: SettlementSettings,
    *,
    names_its_bus: bool,
    brings_its_topic: bool,
    database_tls: bool,
) -> list[str]:
    """Return what would do harm where orders are paid with real money, each with a hint.

    Args:
        settings: what is about to be deployed.
        names_its_bus: whether an event source or a bus was given, and not left to the default.
        brings_its_topic: whether the alarms go to a topic with subscribers of its own.
        database_tls: whether the connection to the database is encrypted and verified.
    """
    errors = []
    if not names_its_bus:
        errors.append(
            "The rule would be on the default event bus, where Stripe's partner events never "
            "arrive. Pass event_source_name='aws.partner/stripe.com/ed_…', or event_bus."
        )
    if not settings.events.enabled:
        errors.append(
            "EventSettings(enabled=False) drops every event, EventBridge retains none. Leave it "
            "enabled; to stop settling, disable it in the console for as long as you watch it."
        )
    if not brings_its_topic and not settings.alarms.email_subscriptions:
        errors.append(
            "Nobody would be notified of an alarm. Pass "
            "AlarmSettings(email_subscriptions=('…@…',)), or an alarm_topic that has subscribers."
        )
    if destroyed := _destroyed_with_the_stack(settings):
        errors.append(
            f"RemovalPolicy.DESTROY is set for {' and '.join(destroyed)}: failed payments, and why "
            "they failed, would be deleted with the stack. Use RETAIN_ON_UPDATE_OR_DELETE."
        )
    if not database_tls:
        errors.append(
            "Without TLS to the database, payments travel unencrypted and anybody may pose as the "
            "server. Keep TLS on; for a private certificate authority pass ca_file."
        )
    return errors


def raise_if_any(errors: Sequence[str], *, why: str) -> None:
    """Raise one error that lists all of them.

    Raises:
        ValueError: there is at least one.
    """
    if errors:
        raise ValueError(why + "".join(f"\n  - {error}" for error in errors))


def _destroyed_with_the_stack(settings: SettlementSettings) -> list[str]:
    policies = {
        "the queues": settings.queues.removal_policy,
        "the functions' logs": settings.functions.logs.removal_policy,
    }
    if settings.webhook is not None and settings.webhook.access_logs is not None:
        policies["the access logs"] = settings.webhook.access_logs.removal_policy
    return [name for name, policy in policies.items() if policy is RemovalPolicy.DESTROY]
