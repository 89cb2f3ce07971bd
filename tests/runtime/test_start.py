"""The start of a function: what it does before its first event, and what ends it there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runtime.function import Function
from tests.support.cachao import PASSWORD, USER, Cachao, event_for
from tests.support.events import WEBHOOK_SECRET, eventbridge_envelope, webhook_request
from tests.support.secrets_manager_server import ARN, SecretsManagerServer, secret_string

Start = Callable[..., Function]

pytestmark = pytest.mark.xdist_group("runtime")

HANDLERS = ["eventbridge_handler", "webhook_handler", "migration_handler"]

WATCH = """\
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open({path!r}, "a") as file:
            print(event, file=file)

sys.addaudithook(watch)
"""
"""Reports each attempt to reach the network by Python's code; the runtime client's own calls to
its API are made in C++ and raise no audit event."""

PROBE = """\
import os, sys
from importlib.util import find_spec

def handler(names, context):
    found = [name for name in names if find_spec(name)]
    return {"environment": sorted(os.environ), "path": sys.path, "found": found}
"""


def asset_without(task_root: Path, tmp_path: Path, *names: str) -> Path:
    """The asset as it would be, had something gone wrong with what is named."""
    root = tmp_path / "task"
    root.mkdir()
    for path in task_root.iterdir():
        if path.name not in (*names, "__pycache__"):
            (root / path.name).symlink_to(path)
    return root


@pytest.mark.parametrize("handler", ["eventbridge_handler", "webhook_handler"])
def test_network_is_not_touched_before_the_first_event(
    cachao: Cachao, configuration: dict[str, str], start: Start, tmp_path: Path, handler: str
) -> None:
    watched = tmp_path / "watched"
    watched.touch()
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(path=str(watched)))
    configuration |= {"PYTHONPATH": str(tmp_path), "DB_SECRET_ARN": ARN, "STRIPE_SECRET_ARN": ARN}
    for name in ("DB_USER", "DB_PASSWORD", "STRIPE_WEBHOOK_SECRET"):
        del configuration[name]
    deliver = webhook_request if handler == "webhook_handler" else eventbridge_envelope
    with SecretsManagerServer() as secrets_manager:
        configuration["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = secrets_manager.url
        secrets_manager.answers = [
            secret_string(
                {"username": USER, "password": PASSWORD, "webhook_secret": WEBHOOK_SECRET}
            )
        ]
        function = start(handler)

        function.wait_until_started()
        before = watched.read_text()
        function.invoke(deliver(event_for(cachao.add_order())))

    assert before == ""
    assert "socket.connect" in watched.read_text()


def test_function_sees_the_runtime_and_its_own_configuration_alone(
    configuration: dict[str, str], start: Start, tmp_path: Path
) -> None:
    """Else every other test here could pass on a package that Lambda does not have."""
    (tmp_path / "probe.py").write_text(PROBE)
    ours = ["settlement", "local", "stripe_settlement", "pymysql", "stripe", "pytest", "aws_cdk"]

    seen = start("probe", task_root=tmp_path).invoke([*ours, "boto3"]).json

    strangers = set(os.environ) & set(seen["environment"]) - {"PATH", "LANG", "TZ"}
    assert {name for name in strangers if not name.startswith("AWS_")} <= set(configuration)
    assert seen["found"] == ["boto3"]
    assert not [path for path in seen["path"] if path.endswith(("main", "lambdas"))]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("package", ["pymysql", "aws_lambda_powertools"])
def test_package_that_is_missing_is_an_error_of_the_start(
    task_root: Path, start: Start, tmp_path: Path, handler: str, package: str
) -> None:
    function = start(handler, task_root=asset_without(task_root, tmp_path, package))

    assert function.wait_until_ended() == 1
    [error] = function.init_errors
    assert error.json["errorType"] == "Runtime.ImportModuleError"
    assert package in error.json["errorMessage"]
    assert function.polls == 0


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("webhook_handler.handle", "Runtime.HandlerNotFound"),
        ("webhooks_handler.handler", "Runtime.ImportModuleError"),
    ],
)
def test_handler_that_is_not_there_is_an_error_of_the_start(
    start: Start, handler: str, error_type: str
) -> None:
    function = start(handler)

    assert function.wait_until_ended() == 1
    [error] = function.init_errors
    assert error.headers["lambda-runtime-function-error-type"] == error_type
    assert error.json["errorType"] == error_type
    assert function.polls == 0


def test_handler_that_python_cannot_read_is_an_error_of_the_start(
    task_root: Path, start: Start, tmp_path: Path
) -> None:
    root = asset_without(task_root, tmp_path, "webhook_handler.py")
    (root / "webhook_handler.py").write_text("def handler(event, context)\n")

    function = start("webhook_handler", task_root=root)

    assert function.wait_until_ended() == 1
    [error] = function.init_errors
    assert error.json["errorType"] == "Runtime.UserCodeSyntaxError"


@pytest.mark.parametrize("handler", HANDLERS)
def test_function_starts_without_any_configuration(
    configuration: dict[str, str], start: Start, handler: str
) -> None:
    configuration.clear()
    function = start(handler)

    function.wait_until_started()

    assert function.init_errors == []
