"""What was deleted or changed by hand: `cdk drift` names it, `--revert-drift` mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import STACK, LocalCloud

pytestmark = pytest.mark.xdist_group("e2e")


def settles(cloud: LocalCloud) -> bool:
    """Whether a partner event still settles its order."""
    order = cloud.shop.add_order()
    cloud.stripe.publish(cloud.stripe.paid(order))
    return cloud.shop.wait_until(order, "paid").settlements == 1


def test_deployed_stack_has_not_drifted(cloud: LocalCloud) -> None:
    assert "No drift detected" in cloud.cdk.drift(STACK)


def test_deploying_again_does_not_bring_a_deleted_function_back(cloud: LocalCloud) -> None:
    functions = cloud.aws.client("lambda")
    functions.delete_function(FunctionName=cloud.addresses.event_function)

    cloud.deploy()

    listed = [each["FunctionName"] for each in functions.list_functions()["Functions"]]
    assert cloud.addresses.event_function not in listed
    cloud.cdk.deploy(STACK, {}, revert_drift=True)


def test_deleted_function_is_named_and_comes_back_with_all_that_went_with_it(
    cloud: LocalCloud,
) -> None:
    cloud.aws.client("lambda").delete_function(FunctionName=cloud.addresses.event_function)

    drift = cloud.cdk.drift(STACK)
    cloud.cdk.deploy(STACK, {}, revert_drift=True)

    named = [line for line in drift.splitlines() if line.startswith("[-]")]
    # The CLI lists them in the order in which it looked at them.
    assert sorted(line.split()[1] for line in named) == [
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
    ]
    assert all("StripeEventBridgeHandler" in line for line in named)
    assert "No drift detected" in cloud.cdk.drift(STACK)
    assert settles(cloud)


def test_disabled_rule_is_named_and_enabled_again(cloud: LocalCloud) -> None:
    events, bus = cloud.aws.client("events"), cloud.addresses.event_bus
    rule = cloud.addresses.event_rule_arn.rpartition("/")[2]
    events.disable_rule(Name=rule, EventBusName=bus)

    drift = cloud.cdk.drift(STACK)
    cloud.cdk.deploy(STACK, {}, revert_drift=True)

    assert "[~] AWS::Events::Rule" in drift
    assert "DISABLED" in drift
    assert events.describe_rule(Name=rule, EventBusName=bus)["State"] == "ENABLED"
    assert settles(cloud)


def test_removed_permission_is_named_and_given_again(cloud: LocalCloud) -> None:
    functions = cloud.aws.client("lambda")
    [permission] = [
        each["PhysicalResourceId"]
        for each in cloud.aws.client("cloudformation").describe_stack_resources(StackName=STACK)[
            "StackResources"
        ]
        if each["ResourceType"] == "AWS::Lambda::Permission"
        and "EventRoute" in each["LogicalResourceId"]
    ]
    functions.remove_permission(FunctionName=cloud.addresses.event_function, StatementId=permission)

    drift = cloud.cdk.drift(STACK)
    cloud.cdk.deploy(STACK, {}, revert_drift=True)

    assert "[-] AWS::Lambda::Permission" in drift
    assert "1 resource has drifted" in drift
    assert settles(cloud)


@pytest.fixture
def policy(cloud: LocalCloud) -> Iterator[str]:
    """The policy of the Stripe event DLQ, there again afterwards."""
    queues, url = cloud.aws.client("sqs"), cloud.addresses.delivery_dlq_url
    policy = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    yield policy["Attributes"]["Policy"]
    queues.set_queue_attributes(QueueUrl=url, Attributes=policy["Attributes"])


def test_deleted_queue_is_named_and_comes_back_without_its_policy(
    cloud: LocalCloud, policy: str
) -> None:
    """CloudFormation cannot read an `AWS::SQS::QueuePolicy`, so nothing restores that one."""
    queues, url = cloud.aws.client("sqs"), cloud.addresses.delivery_dlq_url
    queues.delete_queue(QueueUrl=url)

    drift = cloud.cdk.drift(STACK)
    cloud.cdk.deploy(STACK, {}, revert_drift=True)

    assert "events.amazonaws.com" in policy
    assert "[-] AWS::SQS::Queue " in drift
    assert "1 resource has drifted" in drift
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    assert "Policy" not in attributes
