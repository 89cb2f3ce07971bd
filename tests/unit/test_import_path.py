"""What a cold start pays for, and what it must not do yet."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.events import PAID, THIN, eventbridge_envelope, load
from tests.support.waiting import SECONDS

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
HANDLERS = [path.stem for path in sorted(LAMBDAS.glob("*.py"))]
SETTLING = ["eventbridge_handler", "webhook_handler", "migration_handler"]

ON_IMPORT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
asked, touched = set(), []

class Watched(os._Environ):
    def __getitem__(self, key):
        asked.add(key)
        return super().__getitem__(key)

environ = os.environ
os.environ = Watched(
    environ._data, environ.encodekey, environ.decodekey, environ.encodevalue, environ.decodevalue
)
network = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"}
sys.addaudithook(lambda name, _: touched.append(name) if name in network else None)
before = set(sys.modules)
__import__(sys.argv[2])
print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "asked": sorted(asked),
    "network": touched,
}))
"""


def importing(module: str) -> dict[str, list[str]]:
    """What importing ``module`` does in a fresh interpreter that has no settings."""
    answer = subprocess.run(
        [sys.executable, "-c", ON_IMPORT, str(LAMBDAS), module],
        capture_output=True,
        check=True,
        text=True,
        env={},
        timeout=SECONDS,
    )
    result: dict[str, list[str]] = json.loads(answer.stdout)
    return result


def packages(modules: list[str]) -> set[str]:
    """The packages loaded.

    Powertools loads botocore's empty root, and nothing below it, to put its name into the user
    agent of clients that are made later.
    """
    return {name.partition(".")[0] for name in modules if name != "botocore"}


def test_the_eventbridge_function_loads_neither_stripe_nor_an_aws_sdk() -> None:
    loaded = packages(importing("eventbridge_handler")["modules"])
    assert loaded & {"stripe", "requests", "httpx", "boto3", "botocore", "urllib3"} == set()
    assert {"pymysql", "aws_lambda_powertools"} <= loaded


def test_the_webhook_loads_stripe_and_no_aws_sdk() -> None:
    loaded = packages(importing("webhook_handler")["modules"])
    assert loaded & {"boto3", "botocore"} == set()
    assert "stripe" in loaded


@pytest.mark.parametrize("module", SETTLING)
def test_what_settles_loads_nothing_that_calls_stripe(module: str) -> None:
    loaded = set(importing(module)["modules"])
    assert {each for each in loaded if "stripe_account" in each or "stripe_api" in each} == set()
    assert "stripe._stripe_client" not in loaded


ON_DELIVERY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from eventbridge_handler import handler

class Context:
    aws_request_id = "1"
    def get_remaining_time_in_millis(self):
        return 1000

loaded = []
for event in json.load(sys.stdin):
    try:
        handler(event, Context())
    except Exception as error:
        reason = type(error).__name__
    loaded.append([reason, "stripe" in sys.modules])
print(json.dumps(loaded), file=sys.stderr)
"""


def test_the_eventbridge_function_loads_stripe_for_a_thin_event_and_not_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = str(server.getsockname()[1])
    environ = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": closed,
        "DB_NAME": "any",
        "DB_USER": "any",
        "DB_PASSWORD": "any",
        "STRIPE_LIVEMODE": "false",
        "THIN_EVENTS_KEY_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:any-AbCdEf",
    }
    answer = subprocess.run(
        [sys.executable, "-c", ON_DELIVERY, str(LAMBDAS)],
        input=json.dumps([eventbridge_envelope(load(name)) for name in (PAID, THIN)]),
        capture_output=True,
        check=True,
        text=True,
        env=environ,
        timeout=SECONDS,
    )
    assert json.loads(answer.stderr.splitlines()[-1]) == [
        ["LedgerUnavailable", False],
        ["SecretUnavailable", True],
    ]


@pytest.mark.parametrize("module", HANDLERS)
def test_nothing_is_configured_or_connected_at_import(module: str) -> None:
    seen = importing(module)
    ours = ("DB_", "STRIPE_", "ORDER_", "SIGNATURE_", "WEBHOOK_", "AWS_SECRET", "AWS_ENDPOINT")
    theirs = {"STRIPE_LOG"}  # the log level of stripe's own library
    assert {name for name in seen["asked"] if name.startswith(ours)} <= theirs
    assert seen["network"] == []


@pytest.mark.parametrize(
    "module", [path.stem for path in sorted((LAMBDAS / "settlement/domain").glob("[a-z]*.py"))]
)
def test_the_domain_loads_no_driver_and_no_sdk(module: str) -> None:
    seen = importing(f"settlement.domain.{module}")
    foreign = {"boto3", "botocore", "stripe", "requests", "pymysql", "aws_lambda_powertools"}
    assert foreign & {name.partition(".")[0] for name in seen["modules"]} == set()
    ours = {name.split(".")[1] for name in seen["modules"] if name.startswith("settlement.")}
    assert ours <= {"domain", "errors"}
