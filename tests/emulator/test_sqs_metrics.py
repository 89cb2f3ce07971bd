"""Queues report how many messages they hold and how old the oldest is."""

from __future__ import annotations

from typing import Any

import pytest

from local.waiting import wait_for
from tests.emulator.account import Account, Queue

pytestmark = pytest.mark.xdist_group("emulator")


def reported(account: Account, metric: str, queue: Queue) -> dict[str, Any] | None:
    return account.statistics("AWS/SQS", metric, {"QueueName": queue.arn.split(":")[-1]})


def wait_for_count(account: Account, queue: Queue, count: int) -> None:
    def counted() -> bool | None:
        found = reported(account, "ApproximateNumberOfMessagesVisible", queue)
        return (found is not None and found["Maximum"] == count) or None

    wait_for(counted, f"a report of {count} messages")


def test_queue_reports_the_messages_it_holds(account: Account) -> None:
    queue = account.queue()
    wait_for_count(account, queue, 0)
    account.send(queue)
    account.send(queue)
    wait_for_count(account, queue, 2)


def test_queue_reports_the_age_of_its_oldest_message_in_seconds(account: Account) -> None:
    queue = account.queue()
    account.send(queue)

    def old_enough() -> bool | None:
        found = reported(account, "ApproximateAgeOfOldestMessage", queue)
        return (found is not None and found["Maximum"] >= 0.5) or None

    wait_for(old_enough, "a report of an age")


def test_empty_queue_reports_no_age(account: Account) -> None:
    queue = account.queue()
    wait_for_count(account, queue, 0)
    assert reported(account, "ApproximateAgeOfOldestMessage", queue) is None
