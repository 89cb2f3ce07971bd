"""What is refused where real money moves."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy

from stripe_settlement.settings import SettlementSettings


def production_objections(
    settings: SettlementSettings,
    *,
    names_its_bus: bool,
    brings_its_topic: bool,
    database_tls: bool,
) -> list[str]:
    """What would hurt where orders are paid with real money: each with the way round.

    Args:
        settings: what is about to be deployed.
        names_its_bus: whether an event source or a bus was given, and not left to the default.
        brings_its_topic: whether the alarms go to a topic with subscribers of its own.
        database_tls: whether the connection to the database is encrypted and verified.
    """
    objections = []
    if not names_its_bus:
        objections.append(
            "The rule would be on the default event bus, where Stripe's partner events never "
            "arrive. Pass event_source_name='aws.partner/stripe.com/ed_…', or event_bus."
        )
    if not settings.events.enabled:
        objections.append(
            "EventSettings(enabled=False) drops every event, EventBridge keeps none. Leave it "
            "enabled; to stop settling, disable it in the console for as long as you watch it."
        )
    if not brings_its_topic and not settings.alarms.email_subscriptions:
        objections.append(
            "Nobody would hear of an alarm. Pass AlarmSettings(email_subscriptions=('…@…',)), or "
            "an alarm_topic that has subscribers."
        )
    if doomed := _destroyed_with_the_stack(settings):
        objections.append(
            f"RemovalPolicy.DESTROY is set for {' and '.join(doomed)}: failed payments, and why "
            "they failed, would be deleted with the stack. Use RETAIN_ON_UPDATE_OR_DELETE."
        )
    if not database_tls:
        objections.append(
            "Without TLS to the database, payments travel in the clear and anybody may answer for "
            "the server. Keep TLS on; for a private certificate authority pass ca_file."
        )
    return objections


def refuse(objections: Sequence[str], *, why: str) -> None:
    """Raise one error that lists every objection.

    Raises:
        ValueError: there is at least one.
    """
    if objections:
        listed = "".join(f"\n  - {objection}" for objection in objections)
        raise ValueError(f"{why}{listed}")


def _destroyed_with_the_stack(settings: SettlementSettings) -> list[str]:
    policies = {
        "the queues": settings.queues.removal_policy,
        "the functions' logs": settings.functions.logs.removal_policy,
    }
    if settings.webhook is not None and settings.webhook.access_logs is not None:
        policies["the access logs"] = settings.webhook.access_logs.removal_policy
    return [name for name, policy in policies.items() if policy is RemovalPolicy.DESTROY]
