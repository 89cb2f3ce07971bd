"""What would do harm where real money moves is an error at synthesis, which lists all of it."""

from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns

from stripe_settlement import (
    AlarmSettings,
    EventSettings,
    FunctionSettings,
    LogSettings,
    QueueSettings,
    SettlementSettings,
    WebhookSettings,
)
from tests.infrastructure.synthesis import any_database, payments_stack, settle, template_of

SAFE = SettlementSettings(alarms=AlarmSettings(email_subscriptions=("ops@example.com",)))
DESTROYED_LOGS = LogSettings(removal_policy=RemovalPolicy.DESTROY)


def test_safe_settings_synthesise_in_live_mode(stack: Stack) -> None:
    settle(stack, livemode=True, settings=SAFE)

    assert template_of(stack)["Resources"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SAFE, alarms=AlarmSettings()), "Nobody would be notified of an alarm"),
        (replace(SAFE, events=EventSettings(enabled=False)), "drops every event"),
        (
            replace(SAFE, queues=QueueSettings(removal_policy=RemovalPolicy.DESTROY)),
            "DESTROY is set for the queues",
        ),
        (
            replace(SAFE, functions=FunctionSettings(logs=DESTROYED_LOGS)),
            "DESTROY is set for the functions' logs",
        ),
        (
            replace(SAFE, webhook=WebhookSettings(access_logs=DESTROYED_LOGS)),
            "DESTROY is set for the access logs",
        ),
    ],
)
def test_settings_that_would_do_harm_are_an_error_in_live_mode(
    stack: Stack, settings: SettlementSettings, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settle(stack, livemode=True, settings=settings)


def test_the_default_bus_is_an_error_in_live_mode(stack: Stack) -> None:
    with pytest.raises(ValueError, match="on the default event bus"):
        settle(stack, livemode=True, settings=SAFE, event_source_name=None)


def test_the_default_bus_is_accepted_when_it_is_asked_for(stack: Stack) -> None:
    bus = events.EventBus.from_event_bus_name(stack, "Bus", "default")
    settle(stack, livemode=True, settings=SAFE, event_bus=bus)

    assert template_of(stack)["Resources"]


def test_an_unencrypted_database_connection_is_an_error_in_live_mode(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Keep TLS on"):
        settle(stack, livemode=True, settings=SAFE, database=any_database(stack, tls=False))


def test_an_existing_topic_needs_no_addresses(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic")
    settle(stack, livemode=True, settings=replace(SAFE, alarms=AlarmSettings()), alarm_topic=topic)

    assert template_of(stack)["Resources"]


def test_one_error_lists_everything_that_would_do_harm_in_live_mode(stack: Stack) -> None:
    with pytest.raises(ValueError, match="would settle real money") as error:
        settle(
            stack,
            livemode=True,
            event_source_name=None,
            settings=SettlementSettings(events=EventSettings(enabled=False)),
        )

    assert str(error.value).count("\n  - ") == 3


def test_the_same_settings_synthesise_in_test_mode(stack: Stack) -> None:
    settle(
        stack,
        livemode=False,
        event_source_name=None,
        settings=SettlementSettings(queues=QueueSettings(removal_policy=RemovalPolicy.DESTROY)),
    )

    assert template_of(stack)["Resources"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"livemode": False}, "every real payment would be ignored"),
        ({"event_source_name": None}, "on the default event bus"),
        ({"alarm_emails": []}, "Nobody would be notified of an alarm"),
        ({"database_secret_arn": None}, "database_secret_arn is missing"),
        ({"stripe_secret_arn": None}, "stripe_secret_arn is missing"),
        ({"removal_policy": "destroy"}, "DESTROY is set for"),
        ({"database_tls": False}, "Keep TLS on"),
    ],
)
def test_what_would_do_harm_is_an_error_in_prod(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        payments_stack("prod", **change)


def test_one_error_lists_everything_that_would_do_harm_in_prod() -> None:
    with pytest.raises(ValueError, match="'prod' is production or") as error:
        payments_stack(
            "prod",
            livemode=False,
            event_source_name=None,
            alarm_emails=[],
            database_secret_arn=None,
            stripe_secret_arn=None,
            removal_policy="destroy",
        )

    assert str(error.value).count("\n  - ") == 6


def test_prod_is_protected_from_being_deleted() -> None:
    assert payments_stack("prod").termination_protection is True
    assert payments_stack("dev").termination_protection is False


def test_an_environment_with_real_money_is_guarded_like_prod() -> None:
    with pytest.raises(ValueError, match="database_secret_arn is missing"):
        payments_stack("dev", livemode=True)
