"""Python functions run as on Lambda."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.emulator.account import Account

pytestmark = pytest.mark.xdist_group("emulator")

# What Lambda defines, and what stands in for it here.
DEFINED = {
    *("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_EXECUTION_ENV"),
    *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME"),
    *("AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_FORMAT"),
    *("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API"),
    *("AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HOME", "LAMBDA_TASK_ROOT"),
    *("LANG", "PATH", "TMPDIR", "TZ", "_HANDLER"),
}
ADDED_BY_THE_SHELL_AND_THE_RUNTIME = {"LC_CTYPE", "PWD", "_X_AMZN_TRACE_ID"}

PROCESS = """
import os, time
def handler(event, context):
    if event == "hang":
        print(os.getpid())
        time.sleep(600)
    if event == "fail":
        raise ValueError("on purpose")
    return os.getpid()
"""


def test_function_runs_under_the_runtime_client_of_aws(account: Account) -> None:
    function = account.function(
        "import sys\ndef handler(event, context): return 'awslambdaric' in sys.modules"
    )
    assert account.invoke(function).payload is True


@pytest.mark.parametrize("runtime", ["python3.12", "python3.14"])
def test_every_python_runtime_is_the_functions_interpreter(account: Account, runtime: str) -> None:
    function = account.function(
        "import sys\ndef handler(event, context): return sys.prefix", Runtime=runtime
    )
    assert account.invoke(function).payload == str(Path(sys.prefix, "lambda"))


def test_first_invocations_at_the_same_moment_all_run(account: Account) -> None:
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(4):  # code that was never unpacked before, each time
            function = account.function(f"def handler(event, context): return {attempt}")
            answers = list(pool.map(lambda _, name=function: account.invoke(name), range(8)))
            assert [answer.payload for answer in answers] == [attempt] * 8


def test_environment_is_lambda_s_and_the_function_s_own(account: Account) -> None:
    function = account.function(
        "import os\ndef handler(event, context): return list(os.environ)",
        Environment={"Variables": {"MINE": "1"}},
    )
    names = set(account.invoke(function).payload) - ADDED_BY_THE_SHELL_AND_THE_RUNTIME
    assert names == DEFINED | {"MINE"}


def test_log_settings_reach_the_runtime_client(account: Account) -> None:
    function = account.function(
        "import logging\ndef handler(event, context): logging.getLogger().info('told')",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
    )
    account.invoke(function)
    assert any('"message": "told"' in line for line in account.log_lines(function))


@pytest.mark.parametrize("package", ["local", "ministack", "aws_cdk"])
def test_packages_of_the_project_are_out_of_reach(account: Account, package: str) -> None:
    function = account.function(
        "import importlib.util\n"
        "def handler(event, context): return importlib.util.find_spec(event) is None"
    )
    assert account.invoke(function, package).payload is True


def test_sdk_in_a_function_reaches_the_emulator(account: Account) -> None:
    queue = account.queue()
    function = account.function(
        "import boto3\n"
        "def handler(event, context):\n"
        "    boto3.client('sqs').send_message(QueueUrl=event, MessageBody='1')"
    )
    account.invoke(function, queue.url)
    assert queue.receive()["Body"] == 1


def test_function_that_outlives_its_timeout_fails(account: Account) -> None:
    function = account.function(PROCESS, Timeout=1)
    answer = account.invoke(function, "hang")
    assert answer.error == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer.payload["errorMessage"]


def test_process_that_outlived_its_timeout_is_ended_and_replaced(account: Account) -> None:
    function = account.function(PROCESS, Timeout=1)
    account.invoke(function, "hang")
    ended = next(int(line) for line in account.log_lines(function) if line.isdigit())
    with pytest.raises(ProcessLookupError):
        os.kill(ended, 0)
    assert account.invoke(function).payload not in (None, ended)


def test_process_whose_handler_failed_serves_the_next_invocation(account: Account) -> None:
    function = account.function(PROCESS)
    process = account.invoke(function).payload
    assert account.invoke(function, "fail").error == "Unhandled"
    assert account.invoke(function).payload == process


def test_every_line_of_a_long_log_is_kept(account: Account) -> None:
    function = account.function(
        "def handler(event, context):\n    for number in range(5000): print('line', number)"
    )
    account.invoke(function)
    written = [line for line in account.log_lines(function) if line.startswith("line")]
    assert written == [f"line {number}" for number in range(5000)]


def test_log_of_an_invocation_is_complete_when_it_answers(account: Account) -> None:
    function = account.function("def handler(event, context): print('line', event)")
    for number in range(200):
        assert f"line {number}" in account.invoke(function, number).log


def test_function_in_node_runs(account: Account) -> None:
    function = account.function(
        "exports.handler = async (event) => event + 1", file="index.js", Runtime="nodejs24.x"
    )
    assert account.invoke(function, 1).payload == 2
