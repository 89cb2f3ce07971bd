"""A rule with a rate: due by the emulator's clock, as often as it says, while it is enabled."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.account import Account, Queue, any_name


@pytest.fixture
def queue(account: Account) -> Queue:
    return account.queue(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
            },
        }
    )


def scheduled(account: Account, queue: Queue, expression: str, state: str = "ENABLED") -> str:
    """The name of a new rule with this schedule, whose target is the queue."""
    name = any_name("rule")
    account.events.put_rule(Name=name, ScheduleExpression=expression, State=state)
    account.events.put_targets(Rule=name, Targets=[{"Id": "any", "Arn": queue.arn}])
    return name


def test_rate_runs_by_the_emulators_clock(account: Account, queue: Queue) -> None:
    """Half an hour is 6 s at this speed."""
    rule = scheduled(account, queue, "rate(30 minutes)")
    event: dict[str, Any] = queue.receive()["Body"]
    account.events.disable_rule(Name=rule)
    assert event["source"] == "aws.events"
    assert event["detail-type"] == "Scheduled Event"
    assert event["resources"][0].endswith(f"rule/{rule}")


def test_rate_comes_again_until_the_rule_is_disabled(account: Account, queue: Queue) -> None:
    rule = scheduled(account, queue, "rate(5 minutes)")
    first, second = queue.receive()["Body"], queue.receive()["Body"]
    account.events.disable_rule(Name=rule)
    assert first["id"] != second["id"]

    # That nothing more comes is shown by what comes of another rule meanwhile.
    while not queue.is_empty():
        pass
    beside = scheduled(account, queue, "rate(10 minutes)")
    later = queue.receive()["Body"]
    account.events.disable_rule(Name=beside)
    assert later["resources"][0].endswith(f"rule/{beside}")


def test_longer_rate_is_not_due_when_a_shorter_one_is(account: Account, queue: Queue) -> None:
    day = scheduled(account, queue, "rate(1 day)")
    hour = scheduled(account, queue, "rate(1 hour)")
    event = queue.receive()["Body"]
    account.events.disable_rule(Name=hour)
    account.events.disable_rule(Name=day)
    assert event["resources"][0].endswith(f"rule/{hour}")
