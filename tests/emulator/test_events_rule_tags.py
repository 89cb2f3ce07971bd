"""A rule can be tagged on a bus whose name holds slashes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.account import Account, Rule, any_name

pytestmark = pytest.mark.xdist_group("emulator")


@pytest.mark.parametrize("bus", ["any-{}", "aws.partner/{}/ed_any"])
def test_rule_is_tagged_and_untagged_on_any_bus(account: Account, bus: str) -> None:
    name = bus.format(any_name())
    account.events.create_event_bus(Name=name)
    rule = Rule.on_a_bus(account, function="any", bus=name)
    tags: list[dict[str, Any]] = [{"Key": "Service", "Value": "any"}, {"Key": "Old", "Value": "1"}]
    account.events.tag_resource(ResourceARN=rule.arn, Tags=tags)
    account.events.untag_resource(ResourceARN=rule.arn, TagKeys=["Old"])
    assert account.events.list_tags_for_resource(ResourceARN=rule.arn)["Tags"] == tags[:1]
