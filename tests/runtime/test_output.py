"""What a function writes under AWS's runtime client: its log, which the operator searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.function import Function
from tests.support.cachao import PASSWORD, USER, Cachao, event_for
from tests.support.events import any_paid_event, eventbridge_envelope, webhook_request
from tests.support.secrets_manager_server import ARN, SecretsManagerServer, secret_string

Start = Callable[..., Function]

pytestmark = pytest.mark.xdist_group("runtime")


def deliveries(function: Function) -> list[dict[str, Any]]:
    return [line for line in function.lines() if "outcome" in line]


def test_each_delivery_is_one_line_that_names_its_request(cachao: Cachao, start: Start) -> None:
    """The runtime has a log handler of its own on the root logger: none may repeat the line."""
    function = start("webhook_handler")
    settled = function.deliver(webhook_request(event_for(cachao.add_order())))
    refused = function.deliver(webhook_request(any_paid_event(), "whsec_of_another"))

    assert [(line["outcome"], line["function_request_id"]) for line in deliveries(function)] == [
        ("settled", settled.request_id),
        ("unauthenticated", refused.request_id),
    ]


def test_error_of_an_event_is_one_line_of_ours_and_one_of_the_runtime_s(
    cachao: Cachao, configuration: dict[str, str], start: Start
) -> None:
    configuration["DB_PORT"] = "1"
    function = start("eventbridge_handler")

    failed = function.deliver(eventbridge_envelope(event_for(cachao.add_order())), seconds=3)

    assert [(line["outcome"], line["function_request_id"]) for line in deliveries(function)] == [
        ("retry", failed.request_id)
    ]
    [runtime_s] = [line for line in function.lines() if "errorType" in line]
    assert (runtime_s["level"], runtime_s["requestId"]) == ("ERROR", failed.request_id)


@pytest.mark.parametrize("handler", ["eventbridge_handler", "webhook_handler"])
def test_log_and_metrics_are_all_that_is_written(
    cachao: Cachao, start: Start, handler: str
) -> None:
    deliver = webhook_request if handler == "webhook_handler" else eventbridge_envelope
    function = start(handler)

    function.invoke(deliver(event_for(cachao.add_order())))

    metrics, log = function.lines()  # a warning of an import would be a line that is no JSON
    assert (log["level"], log["outcome"], log["route"]) == (
        "INFO",
        "settled",
        handler.removesuffix("_handler"),
    )
    assert metrics["Settled"] == [1.0]
    assert [space["Namespace"] for space in metrics["_aws"]["CloudWatchMetrics"]] == [
        "StripeSettlement"
    ]


def test_migrations_log_what_they_applied(start: Start) -> None:
    function = start("migration_handler")

    function.invoke({})

    [line] = function.lines()
    assert line["applied"] == []


def test_debug_log_holds_no_signed_request_and_no_secret(
    configuration: dict[str, str], cachao: Cachao, start: Start
) -> None:
    with SecretsManagerServer() as secrets:
        secrets.answers = [secret_string({"username": USER, "password": PASSWORD})]
        configuration |= {
            "DB_PASSWORD": "",
            "DB_SECRET_ARN": ARN,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets.url,
            "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
        }
        function = start("eventbridge_handler")

        report = function.invoke(eventbridge_envelope(event_for(cachao.add_order())))

        assert report.json["outcome"] == "settled"
        [request] = secrets.requests
    signature = request.headers["Authorization"].rpartition("=")[2]
    for private in (signature, "AWS4-HMAC-SHA256", "x-amz-security-token", PASSWORD):
        assert private not in function.text()
