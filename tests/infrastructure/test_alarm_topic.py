"""CloudWatch can publish to the topic: it drops alarms silently wherever it cannot."""

import pytest
from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Annotations, Match, Template

from stripe_settlement.monitoring.alarm_topic import AlarmTopic, allow_alarms
from tests.infrastructure.synthesis import new_app, only, settle, template_of

THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}


def test_alarms_of_this_account_may_publish(stack: Stack) -> None:
    topic = AlarmTopic(stack, "AlarmTopic").topic
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::TopicPolicy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        {
                            "Sid": "AllowAlarmsToPublish",
                            "Effect": "Allow",
                            "Principal": CLOUDWATCH,
                            "Action": "sns:Publish",
                            "Resource": stack.resolve(topic.topic_arn),
                            "Condition": THIS_ACCOUNT,
                        }
                    ]
                )
            }
        },
    )


def test_publishing_without_tls_is_denied(stack: Stack) -> None:
    AlarmTopic(stack, "AlarmTopic")
    denied = Match.object_like(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::TopicPolicy", {"PolicyDocument": {"Statement": Match.array_with([denied])}}
    )


def test_key_of_the_app_lets_the_alarms_of_this_account_encrypt(stack: Stack) -> None:
    AlarmTopic(stack, "AlarmTopic", encryption_key=kms.Key(stack, "Key"))
    granted = {
        "Sid": "AllowAlarmsToUseKey",
        "Effect": "Allow",
        "Principal": CLOUDWATCH,
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": THIS_ACCOUNT,
    }
    Template.from_stack(stack).has_resource_properties(
        "AWS::KMS::Key", {"KeyPolicy": {"Statement": Match.array_with([granted])}}
    )


def test_imported_key_is_pointed_at_because_its_policy_cannot_be_changed(stack: Stack) -> None:
    arn = "arn:aws:kms:eu-central-1:111122223333:key/9d9a7e1c-0000-4000-8000-000000000000"
    AlarmTopic(stack, "AlarmTopic", encryption_key=kms.Key.from_key_arn(stack, "Key", arn))
    Annotations.from_stack(stack).has_warning(
        "/Shop/AlarmTopic/Topic", Match.string_like_regexp("every alarm is dropped silently")
    )


def test_topic_without_a_key_names_none(stack: Stack) -> None:
    AlarmTopic(stack, "AlarmTopic")
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::Topic", {"KmsMasterKeyId": Match.absent(), "TopicName": Match.absent()}
    )


def test_topic_has_the_name_it_is_given(stack: Stack) -> None:
    AlarmTopic(stack, "AlarmTopic", topic_name="cachao-stripe-event-failures")
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::Topic", {"TopicName": "cachao-stripe-event-failures"}
    )


def test_each_address_is_subscribed_once(stack: Stack) -> None:
    addresses = ("a@example.com", "b@example.com", "a@example.com")
    AlarmTopic(stack, "AlarmTopic", email_subscriptions=addresses)
    subscribed = Template.from_stack(stack).find_resources("AWS::SNS::Subscription").values()
    assert sorted(each["Properties"]["Endpoint"] for each in subscribed) == [
        "a@example.com",
        "b@example.com",
    ]
    assert {each["Properties"]["Protocol"] for each in subscribed} == {"email"}


def test_address_keeps_its_subscription_when_another_one_leaves() -> None:
    def ids_of(*addresses: str) -> dict[str, str]:
        stack = Stack(new_app(), "Stack")
        AlarmTopic(stack, "AlarmTopic", email_subscriptions=addresses)
        found = Template.from_stack(stack).find_resources("AWS::SNS::Subscription")
        return {each["Properties"]["Endpoint"]: key for key, each in found.items()}

    before, after = ids_of("a@example.com", "b@example.com"), ids_of("b@example.com")
    assert before["b@example.com"] == after["b@example.com"]


@pytest.mark.parametrize("encrypted", [True, False])
def test_topic_of_the_app_lets_cloudwatch_publish_and_use_its_key(
    stack: Stack, *, encrypted: bool
) -> None:
    key = kms.Key(stack, "Key") if encrypted else None
    settle(stack, alarm_topic=sns.Topic(stack, "Ops", enforce_ssl=True, master_key=key))

    template = template_of(stack)
    sids = [
        each["Sid"]
        for each in only(template, "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    ]
    assert "AllowAlarmsToPublish" in sids
    if encrypted:
        policy = str(only(template, "AWS::KMS::Key")["KeyPolicy"])
        assert "cloudwatch.amazonaws.com" in policy


def test_topic_of_the_app_under_an_imported_key_is_warned_about(stack: Stack) -> None:
    arn = "arn:aws:kms:eu-central-1:111122223333:key/9d9a7e1c-0000-4000-8000-000000000000"
    key = kms.Key.from_key_arn(stack, "Key", arn)
    settle(stack, alarm_topic=sns.Topic(stack, "Ops", master_key=key))

    Annotations.from_stack(stack).has_warning(
        "/Shop/Ops", Match.string_like_regexp("every alarm is dropped silently")
    )


def test_topic_that_two_settlements_share_has_one_statement_for_cloudwatch(stack: Stack) -> None:
    topic = sns.Topic(stack, "Ops")
    for _ in range(2):
        allow_alarms(topic)

    [statement] = only(template_of(stack), "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    assert statement["Sid"] == "AllowAlarmsToPublish"
