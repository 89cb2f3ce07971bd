"""The whole command, on a running emulated AWS: what settles, stays, is untouched."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from stripe_settlement_cli import redrive
from stripe_settlement_cli.circuit_breaker import FAILURES_IN_A_ROW
from stripe_settlement_cli.failure_reasons import COMMITTED
from stripe_settlement_cli.redrive import WORKERS
from tests.cli.conftest import Ended
from tests.cli.stand_in import Counts, StandIn

Run = Callable[..., Ended]

pytestmark = pytest.mark.xdist_group("cli")

EMPTY = Counts(0, 0)
ONE = Counts(1, 0)


def test_both_shapes_settle_and_leave_their_queues(stack: StandIn, run: Run) -> None:
    undelivered, failed = stack.undelivered(), stack.failed()

    assert run().code == 0
    assert stack.settled() == {undelivered, failed}
    assert {stack.counts(queue) for queue in ("Dlq", "OnFailure")} == {EMPTY}


def test_a_request_of_the_webhook_goes_to_the_webhooks_function(stack: StandIn, run: Run) -> None:
    event = stack.failed(queue="WebhookOnFailure", function="WebhookFunction")

    assert run("--queue", stack.queue_name("WebhookOnFailure")).code == 0
    assert stack.settled() == {event}
    assert stack.counts("WebhookOnFailure") == EMPTY


def test_empty_queues_end_well(stack: StandIn, run: Run) -> None:
    ended = run()

    assert (ended.code, "Nothing waits" in ended.out) == (0, True)


@pytest.mark.parametrize("outcome", sorted(set(COMMITTED) - {"anomaly"}))
def test_a_message_is_deleted_after_a_committed_outcome(
    stack: StandIn, run: Run, outcome: str
) -> None:
    stack.plan(stack.failed(), outcome)

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.counts("OnFailure")) == (0, EMPTY)
    assert outcome.replace("_", " ") in ended.out


def test_an_anomaly_is_named_with_order_event_and_kind(stack: StandIn, run: Run) -> None:
    event = stack.failed()
    stack.plan(event, "anomaly")

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.counts("OnFailure")) == (1, EMPTY)
    assert "1 payment does not fit its order" in ended.out
    assert f"{event}  checkout.session.completed  order 4711  amount_mismatch" in ended.out


@pytest.mark.parametrize("outcome", ["LedgerUnavailable", "KeyError", "fine"])
def test_a_message_without_a_committed_outcome_is_visible_again(
    stack: StandIn, run: Run, outcome: str
) -> None:
    event = stack.failed()
    stack.plan(event, outcome)

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.counts("OnFailure")) == (1, ONE)
    assert event in ended.out
    assert (outcome if outcome != "fine" else "unknown answer") in ended.out


@pytest.mark.parametrize("outcome", ["retry", "unauthenticated"])
def test_a_webhook_request_that_was_turned_down_is_retained(
    stack: StandIn, run: Run, outcome: str
) -> None:
    stack.plan(stack.failed(queue="WebhookOnFailure", function="WebhookFunction"), outcome)

    ended = run("--queue", stack.queue_name("WebhookOnFailure"))

    assert (ended.code, stack.counts("WebhookOnFailure")) == (1, ONE)
    assert ("Resend the event from Stripe" in ended.out) == (outcome == "unauthenticated")


def test_a_retained_message_is_tried_once_per_run(
    stack: StandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "VISIBILITY_MARGIN", -19)  # It is visible again after a second.
    retained, slow = stack.failed(), stack.failed()
    stack.plan(retained, "OrderNotYetKnown")
    stack.plan(slow, "OrderNotYetKnown")
    stack.hide("OnFailure", seconds=3)

    run("--queue", stack.queue_name("OnFailure"))

    assert (stack.calls(retained), stack.calls(slow)) == (1, 1)


def test_a_retained_message_settles_once_the_cause_is_gone(stack: StandIn, run: Run) -> None:
    event = stack.failed()
    stack.plan(event, "LedgerUnavailable")
    run("--queue", stack.queue_name("OnFailure"))
    stack.repair()

    assert run("--queue", stack.queue_name("OnFailure")).code == 0
    assert (stack.settled(), stack.counts("OnFailure")) == ({event}, EMPTY)


@pytest.mark.parametrize(
    "body", ["no JSON", "[]", "{}", json.dumps({"requestContext": {}, "requestPayload": {}})]
)
def test_a_message_of_unknown_shape_is_retained_and_reaches_no_function(
    stack: StandIn, run: Run, body: str
) -> None:
    stack.send("OnFailure", body)

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.counts("OnFailure"), stack.calls()) == (1, ONE, 0)
    assert "unreadable" in ended.out


def test_queues_and_functions_of_another_team_are_left_alone(stack: StandIn, run: Run) -> None:
    stack.undelivered(queue="TheirDlq", function="TheirFunction")
    stack.failed(queue="TheirOnFailure", function="TheirFunction")
    stack.undelivered(queue="TheirQueue")

    ended = run()

    assert (ended.code, stack.calls()) == (0, 0)
    assert {stack.counts(f"Their{each}") for each in ("Dlq", "OnFailure", "Queue")} == {ONE}
    assert "Their" not in ended.out


def test_an_event_of_another_team_in_our_queue_is_retained(stack: StandIn, run: Run) -> None:
    stack.failed(function="TheirFunction")

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.counts("OnFailure"), stack.calls()) == (1, ONE, 0)
    assert "not ours" in ended.out


def test_an_event_for_a_replaced_function_goes_to_the_one_its_rule_invokes_now(
    stack: StandIn, run: Run
) -> None:
    event = stack.undelivered(function="Bus")  # Any name that is no function's.

    assert run("--queue", stack.queue_name("Dlq")).code == 0
    assert stack.settled() == {event}


def test_the_same_failure_again_and_again_ends_the_run(stack: StandIn, run: Run) -> None:
    for event in [stack.failed() for _ in range(100)] + [stack.undelivered()]:
        stack.plan(event, "LedgerUnavailable")

    ended = run()

    assert (ended.code, "stopped early" in ended.out) == (1, True)
    assert FAILURES_IN_A_ROW <= stack.invocations() < FAILURES_IN_A_ROW + WORKERS
    assert (stack.counts("OnFailure"), stack.counts("Dlq")) == (Counts(100, 0), ONE)


def test_many_events_share_an_invocation(stack: StandIn, run: Run) -> None:
    events = {stack.failed() for _ in range(80)}

    assert run("--queue", stack.queue_name("OnFailure")).code == 0
    assert (stack.settled(), stack.counts("OnFailure")) == (events, EMPTY)
    assert stack.invocations() < 80 / 5


def test_of_events_that_share_an_invocation_each_has_its_own_answer(
    stack: StandIn, run: Run
) -> None:
    events = {stack.failed() for _ in range(20)}
    retained, anomaly, duplicate = (events.pop() for _ in range(3))
    stack.plan(retained, "OrderNotYetKnown")
    stack.plan(anomaly, "anomaly")
    stack.plan(duplicate, "duplicate")

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (stack.settled(), stack.counts("OnFailure")) == (events, ONE)
    assert f"{anomaly}  checkout.session.completed  order 4711  amount_mismatch" in ended.out
    assert f"{retained}  checkout.session.completed  order 4711" in ended.out
    assert stack.invocations() < 20


def test_an_event_that_failed_beside_others_is_tried_alone_before_it_is_retained(
    stack: StandIn, run: Run
) -> None:
    events = {stack.failed() for _ in range(20)}
    failing = events.pop()
    stack.plan(failing, "LedgerUnavailable")

    run("--queue", stack.queue_name("OnFailure"))

    assert (stack.settled(), stack.counts("OnFailure")) == (events, ONE)
    assert stack.calls(failing) == 2


def test_a_dry_run_ends_though_what_it_has_read_comes_back(
    stack: StandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "_DRY_RUN_VISIBILITY_TIMEOUT", 0)
    monkeypatch.setattr(redrive, "_LISTING_SECONDS", 0.2)
    stack.failed()

    ended = run("--dry-run", "--queue", stack.queue_name("OnFailure"))

    assert (ended.code, "1 message waits" in ended.out) == (1, True)


def test_an_event_that_crashes_the_function_keeps_no_other_from_settling(
    stack: StandIn, run: Run
) -> None:
    events = {stack.failed() for _ in range(20)}
    poison = events.pop()
    stack.plan(poison, "crash")

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, stack.settled(), stack.counts("OnFailure")) == (1, events, ONE)
    assert f"retained {poison}" in ended.err


def test_events_that_fail_for_their_own_reasons_do_not_end_the_run(
    stack: StandIn, run: Run
) -> None:
    for _ in range(FAILURES_IN_A_ROW + WORKERS):
        stack.plan(stack.failed(), "OrderNotYetKnown")
    last = stack.failed()

    run("--queue", stack.queue_name("OnFailure"))

    assert stack.settled() == {last}


def test_waiting_for_another_consumer_ends(
    stack: StandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "PATIENCE_SECONDS", 0.1)
    stack.failed()
    stack.hide("OnFailure", seconds=600)

    ended = run("--queue", stack.queue_name("OnFailure"))

    assert (ended.code, "held by another consumer" in ended.out) == (1, True)


def test_a_message_that_another_consumer_releases_in_time_settles(stack: StandIn, run: Run) -> None:
    event = stack.failed()
    stack.hide("OnFailure", seconds=1)

    assert run("--queue", stack.queue_name("OnFailure")).code == 0
    assert stack.settled() == {event}


def test_nothing_personal_is_printed(stack: StandIn, run: Run) -> None:
    stack.plan(stack.failed(), "KeyError")
    stack.send("OnFailure", json.dumps({"customer_email": "jenny.rosen@example.com"}))
    waits = run("--dry-run")
    retained = run()

    assert "KeyError" in retained.out
    for text in (waits.out, waits.err, retained.out, retained.err):
        assert "jenny" not in text.lower()


def test_a_dry_run_lists_what_waits_and_why(stack: StandIn, run: Run) -> None:
    undelivered, failed = stack.undelivered(), stack.failed()

    ended = run("--dry-run")

    for text in (undelivered, failed, "4711", "checkout.session.completed", "NO_PERMISSIONS"):
        assert text in ended.out
    assert "LedgerUnavailable: no connection" in ended.out


def test_a_dry_run_tells_by_its_exit_code_whether_anything_waits(stack: StandIn, run: Run) -> None:
    nothing = run("--dry-run")
    stack.failed()
    something = run("--dry-run")

    assert (nothing.code, something.code) == (0, 1)
    assert "0 messages wait" in nothing.out
    assert "1 message waits" in something.out


def test_a_dry_run_changes_nothing(stack: StandIn, run: Run) -> None:
    for _ in range(12):
        stack.failed()

    run("--dry-run")

    assert (stack.counts("OnFailure"), stack.calls()) == (Counts(12, 0), 0)


def test_a_dry_run_ends_however_many_wait_and_says_how_many_it_did_not_list(
    stack: StandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "_LISTED", 10)
    for _ in range(12):
        stack.failed()

    ended = run("--dry-run", "--queue", stack.queue_name("OnFailure"))

    assert (ended.code, "about 2 messages more, not listed" in ended.out) == (1, True)
    assert stack.counts("OnFailure") == Counts(12, 0)


def test_only_the_queue_named_by_name_url_or_arn_is_redriven(stack: StandIn, run: Run) -> None:
    name = stack.queue_name("Dlq")
    for way in (name, stack.ids["Dlq"], f"arn:aws:sqs:eu-west-1:000000000000:{name}"):
        stack.undelivered()
        stack.failed()
        assert run("--queue", way).code == 0

    assert (stack.counts("Dlq"), stack.counts("OnFailure")) == (EMPTY, Counts(3, 0))


def test_an_unknown_queue_is_turned_down_with_those_that_are_known(
    stack: StandIn, run: Run
) -> None:
    stack.undelivered()

    ended = run("--queue", stack.queue_name("TheirDlq"))

    assert (ended.code, stack.calls()) == (2, 0)
    for queue in ("Dlq", "OnFailure", "WebhookOnFailure"):
        assert stack.queue_name(queue) in ended.err
