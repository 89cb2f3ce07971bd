"""What was deleted or changed by hand: named with how it comes back, and never an all-clear."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.servers.emulated_aws import EmulatedAWS
from tests.cli.conftest import Ended
from tests.cli.stand_in import Counts, StandIn

Run = Callable[..., Ended]

pytestmark = pytest.mark.xdist_group("cli")

COMES_BACK = "npx cdk deploy --revert-drift"
ONE = Counts(1, 0)


@pytest.fixture
def deleted_function(aws: EmulatedAWS, own_stack: StandIn) -> StandIn:
    """A stack whose EventBridge function was deleted by hand while events wait for it."""
    own_stack.failed()
    own_stack.undelivered()
    aws.client("lambda").delete_function(FunctionName=own_stack.ids["EventFunction"])
    return own_stack


def test_events_for_a_deleted_function_stay_and_are_no_all_clear(
    deleted_function: StandIn, run: Run
) -> None:
    ended = run(stack=deleted_function.name)

    assert ended.code == 1
    assert "Nothing waits" not in ended.out
    assert {deleted_function.counts(queue) for queue in ("OnFailure", "Dlq")} == {ONE}
    assert f"missing function: {deleted_function.ids['EventFunction']}" in ended.out
    assert COMES_BACK in ended.out


def test_a_dry_run_lists_the_events_of_a_deleted_function(
    deleted_function: StandIn, run: Run
) -> None:
    ended = run("--dry-run", stack=deleted_function.name)

    assert ended.code == 1
    assert "2 messages wait" in ended.out
    assert f"Missing: function {deleted_function.ids['EventFunction']}." in ended.out


def test_a_deleted_rule_is_named_and_its_queue_is_redriven(
    aws: EmulatedAWS, own_stack: StandIn, run: Run
) -> None:
    event = own_stack.undelivered()
    own_stack.delete_rule()

    ended = run(stack=own_stack.name)

    assert (ended.code, own_stack.settled()) == (1, {event})
    assert f"Missing: rule {own_stack.rule} with its target and DLQ." in ended.out
    assert COMES_BACK in ended.out


def test_a_removed_on_failure_destination_is_named_and_its_queue_is_redriven(
    aws: EmulatedAWS, own_stack: StandIn, run: Run
) -> None:
    event = own_stack.failed()
    function = own_stack.ids["EventFunction"]
    aws.client("lambda").delete_function_event_invoke_config(
        FunctionName=function, Qualifier="$LATEST"
    )

    ended = run(stack=own_stack.name)

    assert (ended.code, own_stack.settled()) == (1, {event})
    assert f"Missing: on-failure destination of {function}." in ended.out


def test_a_target_that_lost_its_dlq_is_named_and_the_queue_is_redriven(
    aws: EmulatedAWS, own_stack: StandIn, run: Run
) -> None:
    event = own_stack.undelivered()
    own_stack.put_target_without_dlq()

    ended = run(stack=own_stack.name)

    assert (ended.code, own_stack.settled()) == (1, {event})
    assert f"Missing: rule {own_stack.rule} with its target and DLQ." in ended.out


def test_a_deleted_queue_is_named_and_the_others_are_redriven(
    aws: EmulatedAWS, own_stack: StandIn, run: Run
) -> None:
    event = own_stack.failed()
    aws.client("sqs").delete_queue(QueueUrl=own_stack.ids["Dlq"])

    ended = run(stack=own_stack.name)

    assert (ended.code, own_stack.settled()) == (1, {event})
    assert f"Missing: queue {own_stack.queue_name('Dlq')}." in ended.out


def test_without_the_template_a_queue_that_may_be_ours_is_no_all_clear(
    own_stack: StandIn, run: Run, deny: Callable[[str], None]
) -> None:
    own_stack.undelivered(queue="TheirQueue")
    deny("cloudformation:GetTemplate")

    ended = run(stack=own_stack.name)

    assert ended.code == 1
    assert f"{own_stack.queue_name('TheirQueue')} holds 1 message" in ended.out
    assert "cloudformation:GetTemplate" in ended.out
    assert own_stack.queue_name("TheirDlq") not in ended.out
