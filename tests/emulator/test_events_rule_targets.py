"""EventBridge hands events to functions asynchronously, and what it cannot to the DLQ."""

from __future__ import annotations

import pytest

from tests.emulator.account import (
    FAIL,
    Account,
    Queue,
    Rule,
    any_name,
    function_arn,
    sending_allowed,
)

pytestmark = pytest.mark.xdist_group("emulator")


@pytest.fixture
def dlq(account: Account) -> Queue:
    return account.queue(policy=sending_allowed())


def attributes(message: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


def test_handler_that_fails_is_not_a_failed_delivery(account: Account, dlq: Queue) -> None:
    function, on_failure = account.function(FAIL), account.queue()
    account.functions.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": on_failure.arn}},
    )
    rule = Rule.on_a_bus(account, function=function, dlq=dlq)
    rule.allow(function)
    rule.put({"order": 1})
    record = on_failure.receive()["Body"]
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"]["detail"] == {"order": 1}
    assert dlq.is_empty()


def test_event_for_a_function_that_is_gone_goes_to_the_dlq(account: Account, dlq: Queue) -> None:
    rule = Rule.on_a_bus(account, function="gone", dlq=dlq)
    rule.put({"order": 1})
    message = dlq.receive()
    assert attributes(message) == {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": function_arn("gone"),
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": "The function does not exist.",
        "RETRY_ATTEMPTS": "0",
    }
    assert message["Body"]["source"] == rule.name
    assert message["Body"]["detail"] == {"order": 1}


def test_event_for_a_function_that_allows_nobody_goes_to_the_dlq(
    account: Account, dlq: Queue
) -> None:
    function = account.function()
    Rule.on_a_bus(account, function=function, dlq=dlq).put()
    assert attributes(dlq.receive())["ERROR_CODE"] == "NO_PERMISSIONS"
    assert account.total("AWS/Lambda", "Invocations", FunctionName=function) is None


def test_permission_holds_for_the_rule_it_names(account: Account, dlq: Queue) -> None:
    function = account.function()
    allowed, other = (
        Rule.on_a_bus(account, function=function, dlq=dlq),
        Rule.on_a_bus(account, function=function, dlq=dlq),
    )
    allowed.allow(function)
    allowed.put()
    other.put()
    assert attributes(dlq.receive())["RULE_ARN"] == other.arn
    account.wait_for_total(1, "AWS/Lambda", "Invocations", FunctionName=function)


def test_rule_on_a_bus_with_slashes_in_its_name_may_be_allowed(account: Account) -> None:
    function, bus = account.function(), f"aws.partner/{any_name()}/ed_any"
    account.events.create_event_bus(Name=bus)
    rule = Rule.on_a_bus(account, function=function, bus=bus)
    rule.allow(function)
    rule.put()
    account.wait_for_total(1, "AWS/Lambda", "Invocations", FunctionName=function)


def test_failed_delivery_is_counted_for_the_bus_and_the_rule(account: Account, dlq: Queue) -> None:
    rule = Rule.on_a_bus(account, function="gone", dlq=dlq)
    rule.put()
    for metric in ("Invocations", "FailedInvocations", "InvocationsSentToDlq"):
        assert account.total("AWS/Events", metric, EventBusName=rule.bus, RuleName=rule.name) == 1


def test_delivery_on_the_default_bus_is_counted_for_the_rule_alone(account: Account) -> None:
    function = account.function()
    rule = Rule.on_a_bus(account, function=function, bus="default")
    rule.allow(function)
    rule.put()
    assert account.total("AWS/Events", "Invocations", RuleName=rule.name) == 1


def test_delivered_event_is_no_failed_invocation(account: Account) -> None:
    function = account.function()
    rule = Rule.on_a_bus(account, function=function)
    rule.allow(function)
    rule.put()
    dimensions = {"EventBusName": rule.bus, "RuleName": rule.name}
    assert account.total("AWS/Events", "FailedInvocations", **dimensions) is None


def test_dlq_that_does_not_let_the_rule_send_gets_nothing(account: Account) -> None:
    dlq = account.queue(policy=sending_allowed("arn:aws:events:eu-west-1:000000000000:rule/other"))
    rule = Rule.on_a_bus(account, function="gone", dlq=dlq)
    rule.put()
    dimensions = {"EventBusName": rule.bus, "RuleName": rule.name}
    assert account.total("AWS/Events", "InvocationsFailedToBeSentToDlq", **dimensions) == 1
    assert dlq.is_empty()


def to_a_queue(account: Account, queue: Queue, dlq: Queue) -> Rule:
    rule = Rule.on_a_bus(account, function="any")
    account.events.put_targets(
        Rule=rule.name,
        EventBusName=rule.bus,
        Targets=[{"Id": "any", "Arn": queue.arn, "DeadLetterConfig": {"Arn": dlq.arn}}],
    )
    return rule


def test_queue_that_allows_the_rule_gets_the_event(account: Account, dlq: Queue) -> None:
    queue = account.queue(policy=sending_allowed())
    rule = to_a_queue(account, queue, dlq)
    rule.put({"order": 1})

    assert queue.receive()["Body"]["detail"] == {"order": 1}
    account.wait_for_total(
        1, "AWS/Events", "Invocations", RuleName=rule.name, EventBusName=rule.bus
    )
    assert dlq.is_empty()


def test_event_for_a_queue_that_allows_nobody_goes_to_the_dlq(account: Account, dlq: Queue) -> None:
    to_a_queue(account, account.queue(policy=sending_allowed("arn:other")), dlq).put({"order": 1})

    message = dlq.receive()
    assert attributes(message)["ERROR_CODE"] == "NO_PERMISSIONS"
    assert message["Body"]["detail"] == {"order": 1}
