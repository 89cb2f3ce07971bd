"""What `explain` makes of the tables, by the function that reads them, on a real MariaDB."""

from __future__ import annotations

import io
import json
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from settlement.adapters.operations import ReadingOperations, ResolvingOperations
from settlement.domain.clock import Deadline
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.deployment import Resource, Stack
from stripe_settlement_cli.explain import Known, Search, judge
from stripe_settlement_cli.operations import READ
from tests.support.cachao import Cachao, ShopDatabase, deliver, event_for


class Account:
    """AWS, as far as the tables need it: the function runs in this process."""

    def __init__(self, cachao: Cachao) -> None:
        self.cachao = cachao

    def invoker(self, **_: Any) -> Account:
        return self

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        with closing(self.cachao.database()) as database:
            operations = ReadingOperations(database, self.cachao.order_tables)
            answer = operations.answer(json.loads(Payload), Deadline(20))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def looked_up(cachao: Cachao, id_: str) -> tuple[Known, ExitCode, str]:
    function = Resource("Read", "AWS::Lambda::Function", "read", {"Handler": READ})
    arn = "arn:aws:cloudformation:eu-west-1:1:stack/shop/1"
    stack = Stack("shop", arn, {"Read": function}, template_read=True)
    known = Known({id_})
    search: Any = Search(
        SimpleNamespace(stack=stack),  # type: ignore[arg-type]
        Account(cachao),  # type: ignore[arg-type]
        known,
    )
    [look] = [look for what, look in search.sources() if what == "the database"]
    search.attempt("the database", look)
    return known, *judge(known, id_, "shop")


@pytest.mark.parametrize("by", ["order", "event", "session", "payment"])
def test_a_settled_order_is_known_by_the_ledger_alone(
    cachao: Cachao, database: ShopDatabase, by: str
) -> None:
    order = cachao.add_order()
    deliver(event_for(order), database)
    ids = {"order": str(order.id), "event": "evt_a", "session": "cs_a", "payment": "pi_a"}
    known, code, verdict = looked_up(cachao, ids[by])
    assert (code, verdict) == (ExitCode.DONE, "SETTLED.")
    assert known.ids == set(ids.values())
    assert known.orders == [f"order {order.id}  paid  {order.amount} eur in minor units"]
    assert any("settled  " in each.what for each in known.moments)


def test_an_open_anomaly_is_named_with_the_command_that_lists_it(
    cachao: Cachao, database: ShopDatabase
) -> None:
    order = cachao.add_order()
    deliver(event_for(order, amount=1), database)
    id_ = cachao.value("SELECT id FROM payment_anomalies")
    _, code, verdict = looked_up(cachao, str(order.id))
    assert code == ExitCode.REMAINS
    assert verdict.startswith(f"NOT SETTLED: open: anomaly {id_} (amount_mismatch).  ->")
    assert "stripe-settlement anomalies list --stack shop" in verdict


def test_a_second_payment_of_a_settled_order_is_not_hidden(
    cachao: Cachao, database: ShopDatabase
) -> None:
    order = cachao.add_order()
    deliver(event_for(order), database)
    deliver(event_for(order, payment="b"), database)
    _, code, verdict = looked_up(cachao, str(order.id))
    assert code == ExitCode.REMAINS
    assert verdict.startswith("SETTLED, and open: anomaly ")


def test_what_the_operator_has_closed_is_said(cachao: Cachao, database: ShopDatabase) -> None:
    order = cachao.add_order()
    deliver(event_for(order, amount=1), database)
    request = {
        "verb": "resolve_anomaly",
        "id": cachao.value("SELECT id FROM payment_anomalies"),
        "resolution": "refunded",
        "by": "ann",
    }
    ResolvingOperations(database).answer(request, Deadline(20))
    _, code, verdict = looked_up(cachao, "evt_a")
    assert (code, verdict) == (ExitCode.DONE, "Closed by the operator: refunded.")


def test_an_order_that_nobody_paid_has_nothing_to_settle(cachao: Cachao) -> None:
    order = cachao.add_order()
    known, code, verdict = looked_up(cachao, str(order.id))
    assert (code, verdict) == (ExitCode.DONE, "Nothing to settle: no payment of it is known.")
    assert known.orders == [f"order {order.id}  pending  {order.amount} eur in minor units"]


def test_an_unknown_order_is_not_known(cachao: Cachao) -> None:
    assert looked_up(cachao, "4711")[1] == ExitCode.NOT_BEGUN
