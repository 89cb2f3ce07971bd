"""Stripe's side as resources: with an API key the stack creates what nobody has named."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms

from stripe_settlement import EventSettings, SettlementSettings, StripeAccountSettings
from stripe_settlement.stripe_account.access import StripeAccess
from stripe_settlement.stripe_account.signing_secret import SigningSecret
from stripe_settlement.stripe_account.webhook_endpoint import WebhookEndpoint
from tests.infrastructure.synthesis import (
    PARTNER_SOURCE,
    TemplateJson,
    any_code,
    any_secret,
    find,
    find_id,
    only,
    resources,
    secret_arn,
    settle,
    statements,
    template_of,
)

DESTINATION = "Custom::StripeEventDestination"
ENDPOINT = "Custom::StripeWebhookEndpoint"
SETTLING = ("StripeEventBridgeHandler", "StripePaymentFunction")


def with_a_key(stack: Stack, **arguments: Any) -> TemplateJson:
    settle(stack, stripe_api_key_secret=any_secret(stack, "StripeApiKey"), **arguments)
    return template_of(stack)


def settings(**changes: Any) -> SettlementSettings:
    return SettlementSettings(stripe_resources=StripeAccountSettings(**changes))


def readers(template: TemplateJson, secret: str) -> set[str]:
    """The policies that name the secret."""
    return {
        logical_id
        for logical_id, policy in resources(template, "AWS::IAM::Policy").items()
        if secret_arn(secret) in json.dumps(policy)
    }


def variables(template: TemplateJson, function: str) -> dict[str, Any]:
    found: dict[str, Any] = find(template, "AWS::Lambda::Function", function)["Environment"][
        "Variables"
    ]
    return found


def what_must_be_there_before(template: TemplateJson, logical_id: str) -> set[str]:
    """Every resource that CloudFormation creates before this one, and deletes after it."""
    found: set[str] = set()
    unseen = {logical_id}
    while unseen:
        resource = template["Resources"][unseen.pop()]
        named = set(resource.get("DependsOn", [])) | referenced(resource.get("Properties", {}))
        unseen |= (named & set(template["Resources"])) - found
        found |= unseen
    return found


def referenced(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*(referenced(each) for each in value))
    if not isinstance(value, Mapping):
        return set()
    if set(value) == {"Ref"}:
        return {value["Ref"]}
    if set(value) == {"Fn::GetAtt"}:
        return {value["Fn::GetAtt"][0]}
    return set().union(*(referenced(each) for each in value.values()))


def test_bus_is_the_one_of_the_destinations_source(stack: Stack) -> None:
    template = with_a_key(stack)

    source = {"Fn::GetAtt": [find_id(template, DESTINATION, ""), "EventSourceName"]}
    bus = only(template, "AWS::Events::EventBus")
    assert bus["Name"] == bus["EventSourceName"] == source
    assert find(template, "AWS::Events::Rule", "EventRoute")["EventPattern"]["source"] == [source]


def test_destination_is_for_this_account_and_region(stack: Stack) -> None:
    destination = only(with_a_key(stack), DESTINATION)

    assert destination["AwsAccountId"] == {"Ref": "AWS::AccountId"}
    assert destination["AwsRegion"] == {"Ref": "AWS::Region"}


def test_both_sides_send_the_types_that_change_an_order(stack: Stack) -> None:
    template = with_a_key(stack)

    types = [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
    ]
    assert only(template, DESTINATION)["EnabledEvents"] == types
    assert only(template, ENDPOINT)["EnabledEvents"] == types


def test_destination_sends_what_the_rule_takes(stack: Stack) -> None:
    types = ("checkout.session.completed",)
    template = with_a_key(
        stack, settings=SettlementSettings(events=EventSettings(detail_types=types))
    )

    assert only(template, DESTINATION)["EnabledEvents"] == list(types)


def test_endpoint_calls_the_webhook_of_the_stack(stack: Stack) -> None:
    settlement = settle(stack, stripe_api_key_secret=any_secret(stack))

    assert only(template_of(stack), ENDPOINT)["Url"] == stack.resolve(settlement.webhook_url)


def test_stripe_calls_only_what_is_there_to_answer(stack: Stack) -> None:
    template = with_a_key(stack)

    before = what_must_be_there_before(template, find_id(template, ENDPOINT, ""))
    assert {
        find_id(template, "AWS::ApiGateway::Stage", ""),
        find_id(template, "AWS::ApiGateway::Method", ""),
        find_id(template, "AWS::Lambda::Permission", "WebhookRoute"),
        find_id(template, "AWS::Lambda::Function", "StripePaymentFunction"),
        find_id(template, "Custom::SchemaMigration", "Run"),
    } <= before


def test_what_calls_stripe_outlives_what_it_made(stack: Stack) -> None:
    template = with_a_key(stack)

    for kind, part in ((DESTINATION, "EventDestination"), (ENDPOINT, "WebhookEndpoint")):
        before = what_must_be_there_before(template, find_id(template, kind, ""))
        assert find_id(template, "AWS::IAM::Policy", part) in before
        assert find_id(template, "AWS::Logs::LogGroup", part) in before


def test_webhook_reads_the_secret_that_the_endpoint_writes(stack: Stack) -> None:
    template = with_a_key(stack)

    secret = {"Ref": find_id(template, "AWS::SecretsManager::Secret", "SigningSecret")}
    for part, variable in (
        ("StripePaymentFunction", "STRIPE_SECRET_ARN"),
        ("WebhookEndpoint", "SIGNING_SECRET_ARN"),
    ):
        function = find(template, "AWS::Lambda::Function", part)
        assert function["Environment"]["Variables"][variable] == secret


def test_signing_secret_is_random_at_first(stack: Stack) -> None:
    secret = find(with_a_key(stack), "AWS::SecretsManager::Secret", "SigningSecret")

    assert secret["GenerateSecretString"]["GenerateStringKey"] == "webhook_secret"


def test_only_what_calls_stripe_may_read_the_key(stack: Stack) -> None:
    template = with_a_key(stack)

    assert readers(template, "StripeApiKey") == {
        find_id(template, "AWS::IAM::Policy", "EventDestination"),
        find_id(template, "AWS::IAM::Policy", "WebhookEndpoint"),
        find_id(template, "AWS::IAM::Policy", "Reconciliation"),
    }


def test_what_settles_may_read_the_key_for_thin_events_and_no_other(stack: Stack) -> None:
    template = with_a_key(stack, thin_events_key_secret=any_secret(stack, "ThinEventsKey"))

    settling = {find_id(template, "AWS::IAM::Policy", name) for name in SETTLING}
    assert readers(template, "ThinEventsKey") == settling
    assert readers(template, "StripeApiKey") & settling == set()
    for name in SETTLING:
        key = variables(template, name)["THIN_EVENTS_KEY_SECRET_ARN"]
        assert key == secret_arn("ThinEventsKey")


def test_without_a_key_for_thin_events_nothing_that_settles_knows_of_one(stack: Stack) -> None:
    template = with_a_key(stack)

    keys = {"THIN_EVENTS_KEY_SECRET_ARN", "STRIPE_API_KEY_SECRET_ARN", "STRIPE_API_BASE"}
    assert [variables(template, name).keys() & keys for name in SETTLING] == [set(), set()]


def test_sessions_are_fetched_where_everything_else_at_stripe_is(stack: Stack) -> None:
    address = "http://127.0.0.1:12111"
    template = with_a_key(
        stack,
        thin_events_key_secret=any_secret(stack, "ThinEventsKey"),
        settings=settings(api_base=address),
    )

    addresses = {variables(template, name)["STRIPE_API_BASE"] for name in SETTLING}
    assert addresses == {address}


def test_each_function_may_do_what_its_side_needs_and_no_more(stack: Stack) -> None:
    template = with_a_key(stack)

    both = {
        "WriteLogs",
        "SendTracesToXRay",
        "ReadTheStripeApiKey",
        "SeeWhetherTheStackRollsBack",
    }
    assert set(statements(template, "EventDestination")) == both | {"WaitForStripesEventSource"}
    assert set(statements(template, "WebhookEndpoint")) == both | {
        "ReadTheSigningSecret",
        "WriteTheSigningSecret",
    }


def test_cloudformation_gives_up_after_the_function_has(stack: Stack) -> None:
    template = with_a_key(stack, settings=settings(timeout=Duration.minutes(3)))

    asynchronous = find(template, "AWS::Lambda::EventInvokeConfig", "EventDestination")
    function = find(template, "AWS::Lambda::Function", "EventDestination")
    assert function["Timeout"] == 180
    assert asynchronous["MaximumEventAgeInSeconds"] == 60
    assert asynchronous["MaximumRetryAttempts"] == 0
    assert only(template, DESTINATION)["ServiceTimeout"] == "270"


def test_no_concurrency_is_reserved_for_a_deployment(stack: Stack) -> None:
    template = with_a_key(stack)

    for part in ("EventDestination", "WebhookEndpoint"):
        function = find(template, "AWS::Lambda::Function", part)
        assert "ReservedConcurrentExecutions" not in function


def test_raising_the_number_changes_both_sides(stack: Stack) -> None:
    template = with_a_key(stack, settings=settings(roll=3))

    assert only(template, DESTINATION)["Roll"] == 3
    assert only(template, ENDPOINT)["Roll"] == 3


def test_rule_can_be_replaced_with_its_bus(stack: Stack) -> None:
    template = with_a_key(stack, settings=SettlementSettings(resource_prefix="cachao"))

    assert "Name" not in find(template, "AWS::Events::Rule", "EventRoute")


def test_alarms_watch_the_rule_on_the_bus_named_at_deployment(stack: Stack) -> None:
    template = with_a_key(stack)

    rule = find_id(template, "AWS::Events::Rule", "EventRoute")
    alarm = find(template, "AWS::CloudWatch::Alarm", "FailedInvocations")
    name = next(each for each in alarm["Dimensions"] if each["Name"] == "RuleName")
    assert name["Value"] == {"Fn::Select": [4, {"Fn::Split": ["/", {"Fn::GetAtt": [rule, "Arn"]}]}]}


def test_production_needs_no_event_source(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Nobody would be notified") as refused:
        with_a_key(stack, livemode=True)

    assert "event bus" not in str(refused.value)


def test_functions_stay_out_of_the_vpc_unless_asked(stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", restrict_default_security_group=False)
    template = with_a_key(stack, vpc=vpc)

    assert "VpcConfig" in find(template, "AWS::Lambda::Function", "StripePaymentFunction")
    assert "VpcConfig" not in find(template, "AWS::Lambda::Function", "WebhookEndpoint")


def test_functions_run_in_the_vpc_if_asked(stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", restrict_default_security_group=False)
    template = with_a_key(stack, vpc=vpc, settings=settings(in_vpc=True))

    assert "VpcConfig" in find(template, "AWS::Lambda::Function", "WebhookEndpoint")
    assert "VpcConfig" in find(template, "AWS::Lambda::Function", "EventDestination")


def test_played_stripe_can_be_called_instead(stack: Stack) -> None:
    template = with_a_key(stack, settings=settings(api_base="http://127.0.0.1:12111"))

    function = find(template, "AWS::Lambda::Function", "WebhookEndpoint")
    assert function["Environment"]["Variables"]["STRIPE_API_BASE"] == "http://127.0.0.1:12111"


def test_tags_name_the_side(stack: Stack) -> None:
    secret = find(with_a_key(stack), "AWS::SecretsManager::Secret", "SigningSecret")

    assert {"Key": "Component", "Value": "SigningSecret"} in secret["Tags"]


def test_named_source_is_somebody_elses_destination(stack: Stack) -> None:
    template = with_a_key(stack, event_source_name=PARTNER_SOURCE)

    assert resources(template, DESTINATION) == {}
    assert len(resources(template, ENDPOINT)) == 1


def test_bus_brought_in_is_somebody_elses_destination(stack: Stack) -> None:
    bus = events.EventBus.from_event_bus_name(stack, "Bus", "default")
    template = with_a_key(stack, event_bus=bus)

    assert resources(template, DESTINATION) == {}


def test_given_signing_secret_is_of_somebody_elses_endpoint(stack: Stack) -> None:
    template = with_a_key(stack, stripe_secret=any_secret(stack, "StripeCredentials"))

    assert resources(template, ENDPOINT) == {}
    assert resources(template, "AWS::SecretsManager::Secret") == {}
    assert len(resources(template, DESTINATION)) == 1


def test_without_a_webhook_there_is_no_endpoint(stack: Stack) -> None:
    template = with_a_key(stack, settings=SettlementSettings(webhook=None))

    assert resources(template, ENDPOINT) == {}
    assert resources(template, "AWS::SecretsManager::Secret") == {}


def test_without_a_key_nothing_is_created_at_stripe(stack: Stack) -> None:
    settle(stack)

    template = template_of(stack)
    assert resources(template, DESTINATION) == resources(template, ENDPOINT) == {}


def test_connected_accounts_events_need_a_destination_made_for_them(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"stripe_account is 'acct_1'[\s\S]*Create the event"):
        with_a_key(stack, settings=SettlementSettings(stripe_account="acct_1"))


def test_customer_managed_key_of_the_signing_secret_can_be_used(stack: Stack) -> None:
    secret = SigningSecret(stack, "Secret", encryption_key=kms.Key(stack, "Key")).secret
    WebhookEndpoint(
        stack,
        "WebhookEndpoint",
        access=StripeAccess(livemode=False, api_key_secret=any_secret(stack), code=any_code()),
        signing_secret=secret,
        url="https://example.com/webhooks/stripe",
    )

    found = statements(template_of(stack), "WebhookEndpoint")
    assert found["EncryptTheSigningSecret"]["Action"] == "kms:GenerateDataKey"
    assert found["DecryptTheSigningSecret"]["Action"] == "kms:Decrypt"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("roll", -1),
        ("api_version", "latest"),
        ("api_base", "https://api.stripe.com/v1"),
        ("timeout", Duration.seconds(5)),
    ],
)
def test_setting_that_stripe_or_aws_would_refuse_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        settings(**{field: value})
