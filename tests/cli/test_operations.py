"""What doctor makes of what the stack's own function reports of the database."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from stripe_settlement_cli.deployment import Resource, Stack
from stripe_settlement_cli.doctor import database
from stripe_settlement_cli.finding import Finding, State
from stripe_settlement_cli.operations import READ


class Invoker:
    """A Lambda client that returns or raises what the test planned."""

    def __init__(self, planned: object, *, failed: bool = False) -> None:
        self.planned = planned
        self.failed = failed
        self.asked: dict[str, Any] = {}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        if isinstance(self.planned, Exception):
            raise self.planned
        response: dict[str, Any] = {"Payload": io.BytesIO(json.dumps(self.planned).encode())}
        return response | ({"FunctionError": "Unhandled"} if self.failed else {})


def context(invoker: Invoker, *, handler: str = READ) -> Any:
    function = Resource("Read", "AWS::Lambda::Function", "operations-read", {"Handler": handler})
    arn = "arn:aws:cloudformation:eu-west-1:1:stack/any/1"
    stack = Stack("any", arn, {"Read": function}, template_read=True)
    clients = SimpleNamespace(invoker=lambda **_: invoker)
    return SimpleNamespace(deployment=SimpleNamespace(stack=stack), clients=clients)


def test_the_stacks_own_lines_are_shown_as_it_reports_them() -> None:
    line = {"check": "tls", "state": "well", "text": "TLS verified", "hint": ""}
    invoker = Invoker({"checks": [line]})

    assert database(context(invoker)) == [("tls", Finding(State.WELL, "TLS verified"))]
    assert json.loads(invoker.asked["Payload"]) == {"verb": "doctor"}
    assert invoker.asked["FunctionName"] == "operations-read"


def test_without_the_function_the_database_is_advice() -> None:
    [(_, finding)] = database(context(Invoker({}), handler="other.handler"))

    assert finding.state is State.ADVICE


@pytest.mark.parametrize(
    ("invoker", "text"),
    [
        (Invoker(ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")), "Ask for"),
        (Invoker(ReadTimeoutError(endpoint_url="any")), "no answer"),
        (Invoker({"errorType": "LedgerUnavailable"}, failed=True), "LedgerUnavailable"),
        (Invoker({"checks": [{"state": "fine"}]}), "another version"),
        (Invoker([]), "no JSON object"),
    ],
    ids=["denied", "silent", "failed", "another version", "no object"],
)
def test_a_database_that_could_not_be_looked_at_is_a_question_mark(
    invoker: Invoker, text: str
) -> None:
    [(_, finding)] = database(context(invoker))

    assert finding.state is State.UNKNOWN
    assert text in finding.text
