"""`stripe-settlement reconcile` on the deployed app, for what its own reconciliation has passed."""

from __future__ import annotations

import json
import time

import pytest

from local.cloud import LocalCloud

pytestmark = pytest.mark.xdist_group("e2e")

HOURS_AGO = 5
"""Further back than the watermark's overlap: the stack's own reconciliation does not look there."""


def test_payment_that_no_route_brought_is_named_and_settled_on_demand(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    created = int(time.time()) - HOURS_AGO * 3600
    event = cloud.stripe.pay(order, created=created, deliver=False)

    seen = cloud.operator.run("reconcile", "--since", "6h", "--json")
    settled = cloud.operator.run("reconcile", "--since", "6h", "--settle", "--json")

    assert seen.returncode == 1, seen.stderr
    missing = {each["event_id"]: each for each in json.loads(seen.stdout)["missing"]}
    assert missing[event["id"]]["order_id"] == str(order.id)
    outcomes = {each["event_id"]: each["outcome"] for each in json.loads(settled.stdout)["missing"]}
    assert outcomes[event["id"]] == "settled"
    state = cloud.shop.state(order)
    assert (state.status, state.sold, state.settlements) == ("paid", 2, 1)
