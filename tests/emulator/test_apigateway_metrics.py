"""Answers of a REST API's stage are counted."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from local.servers.emulated_aws import REGION
from tests.emulator.account import Account, any_name, function_arn

pytestmark = pytest.mark.xdist_group("emulator")


def api(account: Account, function: str) -> tuple[str, str]:
    """Name and address of a stage that hands everything to a function."""
    gateway, name = account.aws.client("apigateway"), any_name("api")
    made = gateway.create_rest_api(name=name)
    place = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    gateway.put_integration(
        **place,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
        f"{function_arn(function)}/invocations",
    )
    gateway.create_deployment(restApiId=made["id"], stageName="Prod")
    return name, f"{account.aws.endpoint}/_aws/execute-api/{made['id']}/Prod/"


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ("return {'statusCode': 200}", {"Count": 1, "4XXError": 0, "5XXError": 0}),
        ("return {'statusCode': 400}", {"Count": 1, "4XXError": 1, "5XXError": 0}),
        ("return {'statusCode': 503}", {"Count": 1, "4XXError": 0, "5XXError": 1}),
        ("raise ValueError", {"Count": 1, "4XXError": 0, "5XXError": 1}),
    ],
)
def test_answer_is_counted_by_its_status(
    account: Account, answer: str, counted: dict[str, int]
) -> None:
    name, address = api(account, account.function(f"def handler(event, context): {answer}"))
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(address).close()
    totals = {
        metric: account.total("AWS/ApiGateway", metric, ApiName=name, Stage="Prod")
        for metric in counted
    }
    assert totals == counted


def test_latency_is_in_milliseconds(account: Account) -> None:
    source = (
        "import time\n"
        "def handler(event, context):\n    time.sleep(0.2)\n    return {'statusCode': 200}"
    )
    name, address = api(account, account.function(source))
    urllib.request.urlopen(address).close()
    latency = account.total("AWS/ApiGateway", "Latency", ApiName=name, Stage="Prod")
    assert 200 <= (latency or 0) < 30_000
