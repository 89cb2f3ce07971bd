"""On-sale mode: rule, queue, function; and what stays as it is in direct mode."""

from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from stripe_settlement import (
    AlarmSettings,
    EventSettings,
    FunctionSettings,
    OnSaleQueueSettings,
    QueueSettings,
    SettlementSettings,
    StripeSettlement,
)
from tests.infrastructure.synthesis import (
    find,
    find_id,
    new_app,
    only,
    payments_stack,
    resources,
    settle,
    statements,
    template_of,
)

QUEUE = "SettlementOnSaleQueue"


def queued(stack: Stack, *, key: kms.IKey | None = None, **settings: Any) -> StripeSettlement:
    return settle(
        stack,
        queue_key=key,
        settings=SettlementSettings(events=EventSettings(queue=OnSaleQueueSettings(**settings))),
    )


def the_queue(template: Any) -> tuple[str, Any]:
    [found] = [
        (logical_id, each["Properties"])
        for logical_id, each in resources(template, "AWS::SQS::Queue").items()
        if "RedrivePolicy" in each["Properties"]
    ]
    return found


def target_of(template: Any) -> Any:
    [target] = only(template, "AWS::Events::Rule")["Targets"]
    return target


def test_rule_delivers_to_the_queue_and_keeps_its_dlq(stack: Stack) -> None:
    queued(stack)

    template = template_of(stack)
    queue, _ = the_queue(template)
    dlq = find_id(template, "AWS::SQS::Queue", "DeliveryDlq")
    target = target_of(template)
    assert target["Arn"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [dlq, "Arn"]}}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3}


def test_rule_waits_until_it_may_send_to_the_queue(stack: Stack) -> None:
    queued(stack)

    template = template_of(stack)
    [rule] = resources(template, "AWS::Events::Rule").values()
    queue, _ = the_queue(template)
    [policy] = [
        logical_id
        for logical_id, each in resources(template, "AWS::SQS::QueuePolicy").items()
        if each["Properties"]["Queues"] == [{"Ref": queue}]
    ]
    assert policy in rule["DependsOn"]


@pytest.mark.parametrize("draining", [False, True])
def test_rule_may_invoke_the_function_in_every_mode(stack: Stack, *, draining: bool) -> None:
    """So that no event meets a missing permission while the mode changes."""
    queued(stack, draining=draining)

    direct = Stack(new_app(), "Direct")
    settle(direct)
    principals = [
        sorted(
            each["Properties"]["Principal"]
            for each in resources(template_of(one), "AWS::Lambda::Permission").values()
        )
        for one in (stack, direct)
    ]
    assert principals == [["apigateway.amazonaws.com", "events.amazonaws.com"]] * 2


def test_draining_delivers_directly_and_still_settles_the_queue(stack: Stack) -> None:
    queued(stack, draining=True)

    template = template_of(stack)
    function = find_id(template, "AWS::Lambda::Function", "StripeEventBridgeHandler")
    assert target_of(template)["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
    assert only(template, "AWS::Lambda::EventSourceMapping")["BatchSize"] == 50


def test_queue_is_encrypted_waits_six_timeouts_and_has_a_dlq(stack: Stack) -> None:
    queued(stack, max_receive_count=7)

    template = template_of(stack)
    _, queue = the_queue(template)
    dlq = find_id(template, "AWS::SQS::Queue", "OnSaleQueueDlq")
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["VisibilityTimeout"] == 6 * 60
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dlq, "Arn"]},
        "maxReceiveCount": 7,
    }
    assert "FifoQueue" not in queue


def test_queue_takes_messages_over_tls_from_rules_of_the_account_alone(stack: Stack) -> None:
    queued(stack)

    template = template_of(stack)
    queue, _ = the_queue(template)
    [policy] = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in resources(template, "AWS::SQS::QueuePolicy").values()
        if each["Properties"]["Queues"] == [{"Ref": queue}]
    ]
    deny, allow = policy
    assert (deny["Effect"], deny["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert allow["Principal"] == {"Service": "events.amazonaws.com"}
    assert allow["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert ":rule/*" in str(allow["Condition"]["ArnLike"])


def test_mapping_reports_single_failures_and_follows_its_settings(stack: Stack) -> None:
    queued(stack, batch_size=20, batching_window=Duration.seconds(3), maximum_concurrency=4)

    template = template_of(stack)
    mapping = only(template, "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (20, 3)
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 4}
    [resource] = resources(template, "AWS::Lambda::EventSourceMapping").values()
    assert any("DefaultPolicy" in each for each in resource["DependsOn"])


def test_function_may_consume_the_queue_and_no_more(stack: Stack) -> None:
    queued(stack)

    template = template_of(stack)
    queue, _ = the_queue(template)
    statement = statements(template, "StripeEventBridgeHandler")["ConsumeOnSaleQueue"]
    assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert set(statement["Action"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }
    assert "ConsumeOnSaleQueue" not in statements(template, "StripePaymentFunction")


def test_customer_managed_key_encrypts_both_queues_and_the_function_may_decrypt(
    stack: Stack,
) -> None:
    queued(stack, key=kms.Key(stack, "Key"))

    template = template_of(stack)
    _, queue = the_queue(template)
    [key] = resources(template, "AWS::KMS::Key")
    assert queue["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert find(template, "AWS::SQS::Queue", "OnSaleQueueDlq")["KmsMasterKeyId"] == {
        "Fn::GetAtt": [key, "Arn"]
    }
    decrypt = statements(template, "StripeEventBridgeHandler")["DecryptTheOnSaleQueue"]
    assert decrypt["Action"] == "kms:Decrypt"


def alarms(stack: Stack) -> set[str]:
    template = template_of(stack)
    return {
        logical_id.removeprefix("SettlementAlarms")[:-8]
        for logical_id in resources(template, "AWS::CloudWatch::Alarm")
    }


ASYNCHRONOUS = {
    f"StripeEventBridgeHandler{name}"
    for name in ("AsyncEventsDropped", "AsyncEventAge", "DestinationDeliveryFailures")
}
OF_THE_QUEUE = {"OnSaleQueueOldestMessage", "OnSaleDLQVisibleMessages", "OnSaleDLQOldestMessage"}


def test_alarms_watch_the_queue_instead_of_asynchronous_invocations(stack: Stack) -> None:
    queued(stack)

    assert alarms(stack) >= OF_THE_QUEUE
    assert not alarms(stack) & ASYNCHRONOUS


def test_draining_is_watched_both_ways(stack: Stack) -> None:
    queued(stack, draining=True)

    assert alarms(stack) >= OF_THE_QUEUE | ASYNCHRONOUS


def test_direct_mode_has_nothing_of_the_queue(stack: Stack) -> None:
    settlement = settle(stack)

    assert settlement.on_sale_queue is None
    assert resources(template_of(stack), "AWS::Lambda::EventSourceMapping") == {}
    assert alarms(stack) >= ASYNCHRONOUS
    assert not alarms(stack) & OF_THE_QUEUE


def test_redrive_may_consume_the_dlq_and_see_whether_the_queue_is_consumed(stack: Stack) -> None:
    settlement = queued(stack)
    settlement.grant_redrive(
        iam.Role(stack, "OnCall", assumed_by=iam.ServicePrincipal("ssm.amazonaws.com"))
    )

    template = template_of(stack)
    dlq = find_id(template, "AWS::SQS::Queue", "OnSaleQueueDlq")
    assert "On-sale DLQ" in settlement.failure_queues
    policy = find(template, "AWS::IAM::Policy", "OnCall")
    assert dlq in str(policy)
    allowed = {
        str(each["Action"]): str(each["Resource"]) for each in policy["PolicyDocument"]["Statement"]
    }
    # To say that the queue itself is not empty, and why.
    assert "OnSaleQueueEventSourceMapping" in allowed["lambda:GetEventSourceMapping"]
    assert "OnSaleQueue" in allowed["sqs:GetQueueAttributes"]
    assert dlq not in allowed["sqs:GetQueueAttributes"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; allowed is 1 to 1000"),
        ({"batching_window": Duration.seconds(0)}, "batching_window"),
        ({"batching_window": Duration.millis(1500)}, "whole seconds"),
        ({"maximum_concurrency": 1}, "maximum_concurrency is 1; allowed is 2"),
        ({"max_receive_count": 0}, "max_receive_count is 0"),
    ],
)
def test_what_aws_would_reject_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnSaleQueueSettings(**settings)


def test_a_batch_of_ten_needs_no_window() -> None:
    OnSaleQueueSettings(batch_size=10, batching_window=Duration.seconds(0))


def test_more_batches_than_the_function_may_run_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"maximum_concurrency is 5; allowed is 2 to 4.*throttled"):
        SettlementSettings(
            functions=FunctionSettings(reserved_concurrency=4),
            events=EventSettings(queue=OnSaleQueueSettings()),
        )


def test_a_pause_and_the_queue_together_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"reserved_concurrency is 0.*Leave on-sale mode"):
        SettlementSettings(
            functions=FunctionSettings(reserved_concurrency=0),
            events=EventSettings(queue=OnSaleQueueSettings()),
        )


def test_without_reserved_concurrency_any_number_of_batches_may_run() -> None:
    SettlementSettings(
        functions=FunctionSettings(reserved_concurrency=None),
        events=EventSettings(queue=OnSaleQueueSettings(maximum_concurrency=900)),
    )


def test_an_alarm_on_an_age_that_no_message_reaches_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"on_sale_message_age.*queues\.retention"):
        SettlementSettings(
            alarms=AlarmSettings(
                on_sale_message_age=Duration.days(1), queue_message_age=Duration.hours(1)
            ),
            queues=QueueSettings(retention=Duration.hours(2)),
            events=EventSettings(queue=OnSaleQueueSettings()),
        )


@pytest.mark.parametrize(("word", "draining"), [("queued", False), ("draining", True)])
def test_environment_switches_it_on_and_outputs_its_queues(word: str, *, draining: bool) -> None:
    stack = payments_stack("dev", on_sale=word)

    queue = stack.settlement.on_sale_queue
    assert queue is not None
    assert queue.draining is draining
    assert {"OnSaleQueueUrl", "OnSaleDlqUrl"} <= template_of(stack)["Outputs"].keys()
