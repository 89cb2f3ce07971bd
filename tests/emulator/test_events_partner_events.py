"""A partner's events arrive on the event bus that has the name of their source."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.account import Account, any_name, sending_allowed

pytestmark = pytest.mark.xdist_group("emulator")


def put(account: Account, source: str, detail: dict[str, Any]) -> dict[str, Any]:
    entry = {"Source": source, "DetailType": "paid", "Detail": json.dumps(detail)}
    answer: dict[str, Any] = account.events.put_partner_events(Entries=[entry])
    return answer


def test_partner_event_comes_out_of_the_bus_of_its_source(account: Account) -> None:
    source, queue = f"aws.partner/{any_name()}/ed_any", account.queue(policy=sending_allowed())
    account.events.create_event_bus(Name=source)
    account.events.put_rule(
        Name="any", EventBusName=source, EventPattern=json.dumps({"source": [source]})
    )
    account.events.put_targets(
        Rule="any", EventBusName=source, Targets=[{"Id": "any", "Arn": queue.arn}]
    )
    put(account, source, {"order": 1})
    event = queue.receive()["Body"]
    assert (event["source"], event["detail-type"]) == (source, "paid")
    assert event["detail"] == {"order": 1}


def test_partner_event_without_a_bus_is_accepted_and_dropped(account: Account) -> None:
    assert put(account, f"aws.partner/{any_name()}/ed_any", {})["FailedEntryCount"] == 0
