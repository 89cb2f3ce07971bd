"""FailureQueue: what waits in it is safe."""

from typing import Any

import pytest
from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms

from stripe_settlement import QueueSettings
from stripe_settlement.failure_queue import FailureQueue
from tests.infrastructure.synthesis import only, resources, template_of


def failure_queue(stack: Stack, **arguments: Any) -> FailureQueue:
    return FailureQueue(stack, "FailureQueue", label="Failures", **arguments)


def test_queue_retains_messages_for_fourteen_days_encrypted(stack: Stack) -> None:
    failure_queue(stack)

    assert only(template_of(stack), "AWS::SQS::Queue") == {
        "MessageRetentionPeriod": 14 * 24 * 3600,
        "VisibilityTimeout": 60,
        "SqsManagedSseEnabled": True,
    }


def test_queue_follows_its_settings(stack: Stack) -> None:
    settings = QueueSettings(retention=Duration.days(1), removal_policy=RemovalPolicy.DESTROY)
    failure_queue(stack, settings=settings, name_prefix="shop")

    [queue] = resources(template_of(stack), "AWS::SQS::Queue").values()
    assert queue["DeletionPolicy"] == "Delete"
    assert queue["Properties"]["MessageRetentionPeriod"] == 24 * 3600
    assert queue["Properties"]["QueueName"] == "shop-failures"


def test_queue_is_encrypted_with_the_key_it_is_given(stack: Stack) -> None:
    failure_queue(stack, encryption_key=kms.Key(stack, "Key"))

    template = template_of(stack)
    [key] = resources(template, "AWS::KMS::Key")
    assert only(template, "AWS::SQS::Queue")["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}


@pytest.mark.parametrize("key", [True, False])
def test_queue_allows_eventbridge_to_use_its_key_only_on_request(
    stack: Stack, *, key: bool
) -> None:
    queue = failure_queue(stack, encryption_key=kms.Key(stack, "Key"))
    if key:
        queue.allow_eventbridge_to_encrypt()

    policy = only(template_of(stack), "AWS::KMS::Key")["KeyPolicy"]
    assert ("events.amazonaws.com" in str(policy)) is key


def test_queue_without_a_key_needs_no_grant(stack: Stack) -> None:
    failure_queue(stack).allow_eventbridge_to_encrypt()

    assert resources(template_of(stack), "AWS::KMS::Key") == {}
