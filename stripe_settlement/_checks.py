"""Which arguments of `StripeSettlement` contradict each other, or would do harm in production."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns

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


def require_one_topic(settings: SettlementSettings, *, alarm_topic: sns.ITopic | None) -> None:
    """Check that no addresses stand beside a topic, to which they would not be subscribed.

    Raises:
        ValueError: both came.
    """
    if alarm_topic is not None and (addresses := settings.alarms.email_subscriptions):
        raise ValueError(
            f"alarm_topic came with email_subscriptions {addresses!r}; allowed is one. Subscribe "
            "the addresses to your topic, or leave alarm_topic out to have one created for them."
        )


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
