"""`stripe-settlement reconcile` by the real functions, on a real MariaDB, with a mock of Stripe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from local.fake_stripe.server import StripeServer
from local.shop import Order
from stripe_settlement_cli import reconcile as command
from tests.integration.command_line import Operator, Terminal, command_line
from tests.support.cachao import Cachao, ShopDatabase

HOUR = 3600


@pytest.fixture
def operator(
    cachao: Cachao,
    database: ShopDatabase,
    stripe_server: StripeServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Operator]:
    with command_line(
        Operator(command, cachao, database, stripe_server), monkeypatch, capfd
    ) as operator:
        yield operator


def missed(operator: Operator, order: Order, *, hours: float = 1, **changes: int) -> str:
    """Pay at Stripe, some hours ago; no route brings it. Answers the event's id."""
    event = operator.stripe.create_paid_checkout(
        amount=changes.get("amount", order.amount),
        currency=order.currency,
        metadata={"order_id": str(order.id)},
        created=int(time.time() - hours * HOUR),
        deliver=False,
    )
    return str(event["id"])


def test_nothing_is_missing_where_each_payment_is_settled(operator: Operator) -> None:
    operator.pay(operator.cachao.add_order())

    code, out = operator.type()

    assert code == 0
    assert "1 payment; 1 settled, 0 anomalies, 0 missing" in out
    assert out.endswith("None missing.\n")


def test_missing_payments_are_named_with_their_sum_and_nothing_is_settled(
    operator: Operator,
) -> None:
    orders = [operator.cachao.add_order() for _ in range(2)]
    events = [missed(operator, order) for order in orders]

    code, out = operator.type("--since", "2h")

    assert code == 1
    assert "Stripe, the last 2h: 2 payments; 0 settled, 0 anomalies, 2 missing" in out
    for order, event in zip(orders, events, strict=True):
        assert f"{event}  order {order.id}, {order.amount} eur in minor units, 1 h 0 min ago" in out
    total = sum(order.amount for order in orders)
    assert f"2 payments missing, {total} eur in minor units" in out
    assert "stripe-settlement reconcile --since 2h --settle --stack shop" in out
    assert [operator.cachao.status(order) for order in orders] == ["pending", "pending"]


def test_settle_gives_each_missing_payment_its_event_once(operator: Operator) -> None:
    orders = [operator.cachao.add_order() for _ in range(3)]
    for order in orders:
        missed(operator, order)

    code, out = operator.type("--settle")

    assert (code, [operator.cachao.status(order) for order in orders]) == (0, ["paid"] * 3)
    assert "3 settled now, none missing." in out
    assert "None missing." in operator.type("--settle")[1]
    assert [operator.cachao.settlements(order) for order in orders] == [1] * 3


def test_many_missing_payments_are_settled_in_batches(operator: Operator) -> None:
    orders = [operator.cachao.add_order() for _ in range(60)]
    for order in orders:
        missed(operator, order)

    code, out = operator.type("--settle")

    assert (code, "60 settled now, none missing." in out) == (0, True)
    [(transactions,)] = operator.cachao.query("SELECT COUNT(DISTINCT settled_at) FROM settlements")
    assert transactions == 2


def test_every_page_of_stripes_list_is_compared(operator: Operator) -> None:
    orders = [operator.cachao.add_order() for _ in range(120)]
    for order in orders:
        missed(operator, order)

    code, out = operator.type()

    assert code == 1
    assert "120 payments; 0 settled, 0 anomalies, 120 missing" in out
    assert "and 70 more; --json names them all" in out


def test_payment_that_is_young_is_left_to_the_routes(operator: Operator) -> None:
    missed(operator, operator.cachao.add_order(), hours=0)

    code, out = operator.type()

    assert code == 0
    assert "0 missing, 1 left to the routes" in out


def test_payment_that_was_missing_and_does_not_fit_is_left_to_the_operator(
    operator: Operator,
) -> None:
    order = operator.cachao.add_order()
    missed(operator, order, amount=order.amount - 500)

    code, out = operator.type("--settle")

    assert (code, operator.cachao.status(order)) == (1, "pending")
    assert "1 payment did not fit: stripe-settlement anomalies list --stack shop" in out
    code, out = operator.type()
    assert (code, "1 anomaly, 0 missing" in out) == (0, True)


def test_checkout_of_another_team_is_not_missing(operator: Operator) -> None:
    operator.stripe.create_paid_checkout(
        amount=100,
        currency="eur",
        metadata={"basket": "7"},
        created=int(time.time() - HOUR),
        deliver=False,
    )
    code, out = operator.type()
    assert (code, "0 payments" in out) == (0, True)


def test_failure_that_is_not_the_events_ends_the_run_and_says_what_helps(
    operator: Operator,
) -> None:
    orders = [operator.cachao.add_order() for _ in range(8)]
    for order in orders:
        missed(operator, order)
    operator.account.denied.add("eventbridge_handler.handler")

    code, out = operator.type("--settle")

    assert code == 1
    assert "Stopped early: the function kept failing with AccessDeniedException" in out
    assert "8 still missing" in out


def test_without_a_key_the_command_says_what_to_set(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_API_KEY")
    code, out = operator.type()
    assert code == 2
    assert "set STRIPE_API_KEY to a restricted key that may read Events" in out


def test_key_of_the_other_mode_is_refused(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "rk_live_of_another")
    code, out = operator.type()
    assert code == 2
    assert "the API key is of live mode. Set STRIPE_API_KEY to one of the stack's, test mode" in out


def test_who_may_not_ask_the_database_learns_what_to_ask_for(operator: Operator) -> None:
    missed(operator, operator.cachao.add_order())
    operator.account.denied.add("operations_read_handler.handler")
    code, out = operator.type()
    assert code == 2
    assert "grant_observe" in out


@pytest.mark.parametrize("since", ["31d", "0h", "24", "1w", "-1h"])
def test_span_that_stripe_does_not_keep_is_refused(operator: Operator, since: str) -> None:
    with pytest.raises(SystemExit) as ended:
        operator.type(f"--since={since}")
    assert ended.value.code == 2
    assert "allowed are minutes, hours or days up to the 30" in operator.capfd.readouterr().err


def test_document_holds_what_is_missing_and_nothing_personal(operator: Operator) -> None:
    order = operator.cachao.add_order()
    event = missed(operator, order)

    code, out = operator.type("--json")

    document = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert (code, document["command"], document["exit_code"]) == (1, "reconcile", 1)
    [missing] = document["missing"]
    assert (missing["event_id"], missing["order_id"]) == (event, str(order.id))
    assert (missing["amount"], missing["currency"]) == (order.amount, "eur")
    assert "@" not in out


def test_terminal_is_asked_before_anything_is_settled(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = operator.cachao.add_order()
    missed(operator, order)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))

    code, out = operator.type("--settle")

    assert (code, operator.cachao.status(order)) == (2, "pending")
    assert "Settle 1 payment?" in out
