"""EventRoute: which events reach the function, and what becomes of those that cannot."""

from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Annotations, Match

from stripe_settlement import EventSettings
from stripe_settlement.routes.eventbridge import EventRoute
from tests.infrastructure.synthesis import (
    PARTNER_SOURCE,
    any_function,
    find_id,
    new_app,
    only,
    resources,
    template_of,
)

BOTH_SOURCES = ["stripe.com", {"prefix": "aws.partner/stripe.com/"}]


def route(stack: Stack, **arguments: Any) -> EventRoute:
    values = {"handler": any_function(stack), "livemode": False, **arguments}
    return EventRoute(stack, "EventRoute", **values)


def rule_of(stack: Stack) -> Any:
    return only(template_of(stack), "AWS::Events::Rule")


def warnings_of(stack: Stack) -> list[str]:
    found = Annotations.from_stack(stack).find_warning("*", Match.any_value())
    return [str(each.entry.data) for each in found]


def test_the_partner_source_creates_the_bus_of_its_name(stack: Stack) -> None:
    route(stack, event_source_name=PARTNER_SOURCE)

    bus = only(template_of(stack), "AWS::Events::EventBus")
    assert (bus["EventSourceName"], bus["Name"]) == (PARTNER_SOURCE, PARTNER_SOURCE)


def test_the_partner_source_is_the_only_source_of_the_rule(stack: Stack) -> None:
    route(stack, event_source_name=PARTNER_SOURCE)

    assert rule_of(stack)["EventPattern"]["source"] == [PARTNER_SOURCE]


def test_the_partner_source_puts_the_rule_on_its_bus(stack: Stack) -> None:
    route(stack, event_source_name=PARTNER_SOURCE)

    template = template_of(stack)
    bus = find_id(template, "AWS::Events::EventBus", "PartnerEventBus")
    assert only(template, "AWS::Events::Rule")["EventBusName"] == {"Ref": bus}


def test_the_partner_source_needs_no_warning(stack: Stack) -> None:
    route(stack, event_source_name=PARTNER_SOURCE)

    assert warnings_of(stack) == []


def test_the_default_bus_takes_forwarders_and_partner_events(stack: Stack) -> None:
    route(stack)

    assert rule_of(stack)["EventPattern"]["source"] == BOTH_SOURCES


def test_the_default_bus_is_where_the_rule_stands(stack: Stack) -> None:
    assert route(stack).uses_default_bus
    assert "EventBusName" not in rule_of(stack)


def test_the_default_bus_is_warned_about_with_a_hint(stack: Stack) -> None:
    route(stack)

    [warning] = warnings_of(stack)
    assert "never arrive" in warning
    assert "event_source_name" in warning


def test_the_default_bus_is_not_warned_about_when_it_is_asked_for(stack: Stack) -> None:
    default = events.EventBus.from_event_bus_name(stack, "Default", "default")

    assert route(stack, event_bus=default).uses_default_bus
    assert warnings_of(stack) == []


def test_an_existing_bus_carries_the_rule(stack: Stack) -> None:
    bus = events.EventBus.from_event_bus_name(stack, "Bus", PARTNER_SOURCE)

    assert route(stack, event_bus=bus).event_bus is bus
    assert rule_of(stack)["EventBusName"] == PARTNER_SOURCE


def test_an_existing_bus_takes_forwarders_and_partner_events(stack: Stack) -> None:
    bus = events.EventBus(stack, "Bus")
    route(stack, event_bus=bus)

    assert rule_of(stack)["EventPattern"]["source"] == BOTH_SOURCES


def test_the_rule_is_enabled_and_described(stack: Stack) -> None:
    route(stack)

    rule = rule_of(stack)
    assert rule["State"] == "ENABLED"
    assert rule["Description"].startswith("Stripe's payment confirmations")


def test_the_rule_can_be_paused(stack: Stack) -> None:
    route(stack, settings=EventSettings(enabled=False))

    assert rule_of(stack)["State"] == "DISABLED"


def test_the_rule_takes_the_three_types_that_change_an_order_thin_or_not(stack: Stack) -> None:
    route(stack)

    assert rule_of(stack)["EventPattern"]["detail-type"] == [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "v1.checkout.session.completed",
        "v1.checkout.session.async_payment_succeeded",
        "v1.checkout.session.async_payment_failed",
    ]


@pytest.mark.parametrize("livemode", [True, False])
def test_the_rule_takes_events_of_its_own_mode_alone(livemode: bool) -> None:
    stack = Stack(new_app(), "Shop")
    route(stack, livemode=livemode)

    assert rule_of(stack)["EventPattern"]["detail"] == {"livemode": [livemode]}


def test_the_rule_retries_three_times_within_an_hour_then_sends_to_the_dlq(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    [target] = only(template, "AWS::Events::Rule")["Targets"]
    queue = find_id(template, "AWS::SQS::Queue", "DeliveryDlq")
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 3600,
        "MaximumRetryAttempts": 3,
    }
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}


def test_the_rule_retries_as_the_settings_say(stack: Stack) -> None:
    settings = EventSettings(retry_attempts=7, max_event_age=Duration.hours(2))
    route(stack, settings=settings)

    [target] = rule_of(stack)["Targets"]
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 7200,
        "MaximumRetryAttempts": 7,
    }


def test_the_rule_alone_may_invoke_the_function(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    rule = find_id(template, "AWS::Events::Rule", "Rule")
    permission = only(template, "AWS::Lambda::Permission")
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": [rule, "Arn"]}


def test_the_dlq_accepts_messages_of_the_rule_alone(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    rule = find_id(template, "AWS::Events::Rule", "Rule")
    policy = only(template, "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"]
    [allowed] = [each for each in policy if each["Effect"] == "Allow"]
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [rule, "Arn"]}}}


def test_the_dlq_has_the_prefix_in_its_name(stack: Stack) -> None:
    route(stack, name_prefix="shop")

    assert only(template_of(stack), "AWS::SQS::Queue")["QueueName"] == "shop-stripe-event-dlq"


def test_the_key_of_the_dlq_allows_eventbridge_to_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    route(stack, queue_key=key)

    template = template_of(stack)
    queue = only(template, "AWS::SQS::Queue")
    [key_id] = resources(template, "AWS::KMS::Key")
    policy = only(template, "AWS::KMS::Key")["KeyPolicy"]["Statement"]
    [grant] = [each for each in policy if each.get("Sid") == "AllowEventBridgeToUseKey"]
    assert queue["KmsMasterKeyId"] == {"Fn::GetAtt": [key_id, "Arn"]}
    assert grant["Principal"] == {"Service": "events.amazonaws.com"}
    assert grant["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert grant["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_an_imported_key_of_the_dlq_is_warned_about(stack: Stack) -> None:
    arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    route(
        stack,
        event_source_name=PARTNER_SOURCE,
        queue_key=kms.Key.from_key_arn(stack, "Key", arn),
    )

    [warning] = warnings_of(stack)
    assert "events.amazonaws.com" in warning


def test_a_source_and_a_bus_together_are_an_error_that_names_the_choice(stack: Stack) -> None:
    bus = events.EventBus(stack, "Bus")
    with pytest.raises(ValueError, match=r"event_source_name .* and event_bus came together"):
        route(stack, event_source_name=PARTNER_SOURCE, event_bus=bus)


@pytest.mark.parametrize(
    "name",
    [
        "stripe.com",
        "aws.partner/stripe.com/",
        "aws.partner/shopify.com/ed_1",
        f"arn:aws:events:eu-west-1::event-source/{PARTNER_SOURCE}",
    ],
)
def test_a_source_that_is_not_stripes_is_an_error_that_says_what_is_allowed(
    stack: Stack, name: str
) -> None:
    with pytest.raises(ValueError, match=r"aws\.partner/stripe\.com/ed_") as error:
        route(stack, event_source_name=name)

    assert name in str(error.value)


def test_bus_logs_what_the_settings_say(stack: Stack) -> None:
    logs = events.LogConfig(level=events.Level.ERROR, include_detail=events.IncludeDetail.NONE)
    route(stack, event_source_name=PARTNER_SOURCE, settings=EventSettings(bus_logs=logs))

    bus = only(template_of(stack), "AWS::Events::EventBus")
    assert bus["LogConfig"] == {"IncludeDetail": "NONE", "Level": "ERROR"}


def test_bus_that_would_log_what_events_hold_is_an_error() -> None:
    logs = events.LogConfig(level=events.Level.ERROR, include_detail=events.IncludeDetail.FULL)
    with pytest.raises(ValueError, match="names and addresses of payers"):
        EventSettings(bus_logs=logs)
