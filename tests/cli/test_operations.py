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


WELL: dict[str, Any] = {
    "database": {
        "version": "10.11.6-MariaDB",
        "tls": "TLSv1.3",
        "binlog_format": "MIXED",
        "read_only": False,
        "migrations": {"applied": ["0001_settlements"], "pending": []},
        "mismatches": [],
        "long_transactions": [],
    },
    "counters": {"tickets": [], "discount_codes": []},
    "anomalies": {"anomalies": [], "next_after": None},
    "unsettled": {
        "orders_paid_without_settlement": [],
        "events_without_settlement": [],
        "last_24_hours": {"paid": 14, "settled": 14},
    },
}


class Answering(Invoker):
    """A Lambda client whose function answers each verb."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(None)
        self.answers = answers

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.planned = self.answers[json.loads(asked["Payload"])["verb"]]
        return super().invoke(**asked)


def lines(verb: str, **changes: Any) -> dict[str, Finding]:
    answers = {**WELL, verb: {**WELL[verb], **changes}}
    return dict(database(context(Answering(answers))))


def test_a_database_that_is_well_has_a_line_for_each_thing() -> None:
    found = lines("database")
    assert {each.state for each in found.values()} == {State.WELL}
    assert [*found] == [
        *("server", "tables", "migrations", "transactions", "counters", "anomalies", "unsettled")
    ]
    assert found["unsettled"].text == "14 of 14 paid in the last 24 h are settled"


MISMATCH = {"where": "column a.b", "found": "TEXT", "needed": "INT", "hint": "ALTER it."}
ANOMALY = {"id": 1, "kind": "amount_mismatch"}


@pytest.mark.parametrize(
    ("verb", "changes", "line", "state", "text"),
    [
        ("database", {"tls": None}, "server", State.ADVICE, "without TLS"),
        ("database", {"read_only": True}, "server", State.BROKEN, "read-only"),
        ("database", {"mismatches": [MISMATCH]}, "tables", State.BROKEN, "found TEXT"),
        (
            *("database", {"migrations": {"applied": [], "pending": ["0001_a"]}}),
            *("migrations", State.BROKEN, "0 of 1: 0001_a missing"),
        ),
        (
            *("database", {"migrations": {"applied": None, "pending": None}}),
            *("migrations", State.UNKNOWN, "may not read"),
        ),
        (
            *("database", {"long_transactions": [{"thread": 881, "seconds": 2460}]}),
            *("transactions", State.ADVICE, "open for 41 min (thread 881)"),
        ),
        ("database", {"long_transactions": None}, "transactions", State.ADVICE, "PROCESS"),
        (
            *("counters", {"tickets": [{"id": 12, "counter": 204, "paid": 202}]}),
            *("counters", State.ADVICE, "ticket 12: 204 sold by its counter, 202 by its paid"),
        ),
        ("anomalies", {"anomalies": [ANOMALY]}, "anomalies", State.BROKEN, "1 open anomaly"),
        (
            *("unsettled", {"events_without_settlement": [{"event_id": "evt_1"}]}),
            *("unsettled", State.BROKEN, "1 event of a payment without a settlement"),
        ),
        (
            *("unsettled", {"orders_paid_without_settlement": [4711]}),
            *("unsettled", State.ADVICE, "1 order paid without a settlement, the newest 4711"),
        ),
    ],
)
def test_each_thing_that_is_wrong_shows_in_its_own_line(
    verb: str, changes: dict[str, Any], line: str, state: State, text: str
) -> None:
    found = lines(verb, **changes)
    assert found[line].state is state
    assert text in found[line].text
    assert found[line].hint
    others = {each.state for name, each in found.items() if name != line}
    assert others == {State.WELL}


def test_without_the_function_the_database_is_advice() -> None:
    [(_, finding)] = database(context(Invoker({}), handler="other.handler"))

    assert finding.state is State.ADVICE


@pytest.mark.parametrize(
    ("invoker", "text"),
    [
        (Invoker(ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")), "Ask for"),
        (Invoker(ReadTimeoutError(endpoint_url="any")), "no answer"),
        (Invoker({"errorType": "LedgerUnavailable"}, failed=True), "LedgerUnavailable"),
        (Invoker({"version": "10.11"}), "another version"),
        (Invoker({"error": "verb is not one; allowed are order"}), "allowed are order"),
        (Invoker([]), "no JSON object"),
    ],
    ids=["denied", "silent", "failed", "another version", "refused", "no object"],
)
def test_a_database_that_could_not_be_looked_at_is_a_question_mark(
    invoker: Invoker, text: str
) -> None:
    [(_, finding)] = database(context(invoker))

    assert finding.state is State.UNKNOWN
    assert text in finding.text
