"""Asynchronous invocations are retried as on AWS, and end in the on-failure queue."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from local.servers.emulated_aws import EmulatedAWS
from local.waiting import wait_for
from tests.emulator.account import ECHO, FAIL, Account, Queue, function_arn, zipped
from tests.emulator.conftest import RETRY_SECONDS

pytestmark = pytest.mark.xdist_group("emulator")

HOLD = """
import os, pathlib, time
def handler(event, context):
    if event:
        pathlib.Path(event["begun"]).touch()
        while not os.path.exists(event["end"]):
            time.sleep(0.01)
"""
TELL_AND_FAIL = """
import time
def handler(event, context):
    print("attempt", time.time(), context.aws_request_id)
    raise ValueError("on purpose")
"""


def failing(account: Account, source: str = FAIL, *, retries: int = 2) -> tuple[str, Queue]:
    """A function that fails, and its on-failure queue."""
    function, queue = account.function(source), account.queue()
    account.functions.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=retries,
        DestinationConfig={"OnFailure": {"Destination": queue.arn}},
    )
    return function, queue


def reserve(account: Account, function: str, executions: int) -> None:
    account.functions.put_function_concurrency(
        FunctionName=function, ReservedConcurrentExecutions=executions
    )


@contextmanager
def occupied(account: Account, function: str, directory: Path) -> Iterator[None]:
    """In the block, the one execution that the function may have is taken by another event."""
    reserve(account, function, 1)
    begun, end = directory / "begun", directory / "end"
    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(account.invoke, function, {"begun": str(begun), "end": str(end)})
        try:
            wait_for(lambda: begun.exists() or None, "the function to be occupied")
            yield
        finally:
            end.touch()
            holder.exception()  # new code, or a deletion, ends it


def wait_for_throttles(account: Account, function: str) -> None:
    """Until the event has been turned away twice."""
    wait_for(
        lambda: (account.total("AWS/Lambda", "Throttles", FunctionName=function) or 0) >= 2 or None,
        "throttles",
    )


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_failed_event_is_retried_as_often_as_configured(account: Account, retries: int) -> None:
    function, queue = failing(account, retries=retries)
    account.invoke_asynchronously(function)
    assert queue.receive()["Body"]["requestContext"]["approximateInvokeCount"] == retries + 1
    assert account.total("AWS/Lambda", "Invocations", FunctionName=function) == retries + 1


def test_second_retry_waits_twice_as_long_as_the_first(account: Account) -> None:
    function, queue = failing(account, TELL_AND_FAIL)
    account.invoke_asynchronously(function)
    queue.receive()
    lines = account.log_lines(function)
    first, second, third = sorted(float(line.split()[1]) for line in lines if "attempt" in line)
    assert second - first >= RETRY_SECONDS
    assert third - second >= 2 * RETRY_SECONDS


def test_all_attempts_have_the_request_id_of_the_record(account: Account) -> None:
    function, queue = failing(account, TELL_AND_FAIL)
    account.invoke_asynchronously(function)
    record = queue.receive()["Body"]
    ids = {line.split()[2] for line in account.log_lines(function) if "attempt" in line}
    assert ids == {record["requestContext"]["requestId"]}


def test_record_holds_the_event_and_the_last_error(account: Account) -> None:
    function, queue = failing(account)
    account.invoke_asynchronously(function, {"order": 1})
    assert queue.receive()["Body"] == {
        "version": "1.0",
        "timestamp": ANY,
        "requestContext": {
            "requestId": ANY,
            "functionArn": f"{function_arn(function)}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"order": 1},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {
            "errorMessage": "on purpose",
            "errorType": "ValueError",
            "requestId": ANY,
            "stackTrace": ANY,
        },
    }


def test_throttled_event_costs_no_attempt(account: Account, tmp_path: Path) -> None:
    function, queue = failing(account, HOLD, retries=0)
    with occupied(account, function, tmp_path):
        account.invoke_asynchronously(function)
        wait_for_throttles(account, function)
    account.wait_for_total(2, "AWS/Lambda", "Invocations", FunctionName=function)
    assert queue.is_empty()


def test_event_runs_the_code_that_is_deployed_when_its_turn_comes(
    account: Account, tmp_path: Path
) -> None:
    function, queue = failing(account, HOLD, retries=0)
    with occupied(account, function, tmp_path):
        account.invoke_asynchronously(function)
        wait_for_throttles(account, function)
        account.functions.update_function_code(FunctionName=function, ZipFile=zipped(FAIL))
    assert queue.receive()["Body"]["responsePayload"]["errorMessage"] == "on purpose"


def test_event_of_a_paused_function_goes_to_the_queue_at_once(account: Account) -> None:
    function, queue = failing(account, ECHO)
    reserve(account, function, 0)
    account.invoke_asynchronously(function, {"order": 1})
    record = queue.receive()["Body"]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == {"order": 1}
    assert "responsePayload" not in record
    assert account.total("AWS/Lambda", "Throttles", FunctionName=function) is None


def test_event_that_is_too_old_is_dropped_unseen(
    account: Account, aws: EmulatedAWS, tmp_path: Path
) -> None:
    function, queue = failing(account, HOLD)
    limit_age_to_one_second(aws, function, queue)
    with occupied(account, function, tmp_path):
        account.invoke_asynchronously(function, {"order": 1})
        record = queue.receive()["Body"]
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == {"order": 1}
    assert "responsePayload" not in record


def limit_age_to_one_second(aws: EmulatedAWS, function: str, queue: Queue) -> None:
    """AWS and its SDK take no less than 60 s; the emulator does not look."""
    config: dict[str, Any] = {
        "MaximumEventAgeInSeconds": 1,
        "DestinationConfig": {"OnFailure": {"Destination": queue.arn}},
    }
    request = urllib.request.Request(
        f"{aws.endpoint}/2019-09-25/functions/{function}/event-invoke-config",
        data=json.dumps(config).encode(),
        method="PUT",
        headers={
            "Content-Type": "application/json",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/lambda/"
            "aws4_request, SignedHeaders=host, Signature=any",
        },
    )
    urllib.request.urlopen(request).close()


def test_age_and_dropping_of_an_event_are_counted(account: Account) -> None:
    function, queue = failing(account, retries=0)
    account.invoke_asynchronously(function)
    queue.receive()
    account.wait_for_total(1, "AWS/Lambda", "AsyncEventsDropped", FunctionName=function)
    ages = account.statistics("AWS/Lambda", "AsyncEventAge", {"FunctionName": function})
    assert ages is not None
    assert ages["SampleCount"] == 1


def test_record_that_reaches_no_queue_is_counted(account: Account) -> None:
    function, queue = failing(account, retries=0)
    queue.sqs.delete_queue(QueueUrl=queue.url)
    account.invoke_asynchronously(function)
    account.wait_for_total(1, "AWS/Lambda", "DestinationDeliveryFailures", FunctionName=function)


def test_event_of_a_function_that_is_gone_is_forgotten(
    account: Account, aws: EmulatedAWS, tmp_path: Path
) -> None:
    function, queue = failing(account, HOLD)
    with occupied(account, function, tmp_path):
        account.invoke_asynchronously(function)
        wait_for_throttles(account, function)
        account.functions.delete_function(FunctionName=function)
    told = f"An event is dropped: its function {function_arn(function)} is gone"
    wait_for(lambda: told in aws.log() or None, "the event to be dropped")
    assert queue.is_empty()
