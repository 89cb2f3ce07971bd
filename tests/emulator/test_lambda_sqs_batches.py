"""An event source mapping takes as many messages as its batch may have."""

from __future__ import annotations

import json

import pytest

from local.waiting import wait_for
from tests.emulator.account import Account

pytestmark = pytest.mark.xdist_group("emulator")

COUNTS = "def handler(event, context): print('took', len(event['Records']))"


def test_batch_of_a_queue_has_more_than_ten_messages(account: Account) -> None:
    function, queue = account.function(COUNTS), account.queue()
    account.invoke(function, {"Records": []})  # which creates the log group
    for number in range(25):
        account.send(queue, json.dumps(number))

    account.functions.create_event_source_mapping(
        FunctionName=function,
        EventSourceArn=queue.arn,
        BatchSize=20,
        MaximumBatchingWindowInSeconds=1,
    )

    sizes = wait_for(
        lambda: found if sum(found := sorted(_sizes(account, function))) >= 25 else None,
        "all messages to be taken",
    )
    assert sizes == [0, 5, 20]


def _sizes(account: Account, function: str) -> list[int]:
    return [
        int(line.split("took")[1].split()[0].strip('"}'))
        for line in account.log_lines(function)
        if "took" in line
    ]
