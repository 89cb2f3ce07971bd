"""`stripe-settlement anomalies` by the real functions, on a real MariaDB, with a mock of Stripe."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.fake_stripe.server import StripeServer
from stripe_settlement_cli import anomalies as command
from stripe_settlement_cli.cli import parser
from tests.integration.command_line import CALLER, Operator, Terminal, command_line
from tests.support.cachao import Cachao, ShopDatabase, deliver


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


def test_without_an_anomaly_all_is_well(operator: Operator) -> None:
    assert operator.type("list") == (0, "0 open anomalies.\n")


def test_the_list_says_what_was_paid_what_is_owed_and_what_usually_helps(
    operator: Operator,
) -> None:
    order = operator.cachao.add_order()
    event = operator.pay(order, amount=order.amount - 500)
    code, out = operator.type("list")
    assert code == 1
    assert f"order {order.id} pending, owed {order.amount} eur in minor units" in out
    assert f"paid {order.amount - 500} eur in minor units" in out
    payment = event["data"]["object"]["payment_intent"]
    assert f"https://dashboard.stripe.com/test/payments/{payment}" in out
    assert f"stripe-settlement anomalies retry {operator.anomaly()} --stack shop" in out
    assert out.endswith("1 open anomaly.\n")


def test_a_retry_settles_an_order_that_was_put_right_and_closes_the_anomaly(
    operator: Operator,
) -> None:
    order = operator.cachao.add_order()
    operator.cachao.query(
        "UPDATE ticket_orders SET total_amount = total_amount + 5 WHERE id = %s", order.id
    )
    operator.pay(order)
    assert operator.type("retry", operator.anomaly())[0] == 1
    operator.cachao.query(
        "UPDATE ticket_orders SET total_amount = total_amount - 5 WHERE id = %s", order.id
    )
    code, out = operator.type("retry", operator.anomaly())
    assert (code, operator.cachao.status(order)) == (0, "paid")
    assert "settled." in out
    assert operator.kept()[0] == "settled"


def test_a_thin_event_is_retried_by_its_snapshot_and_closed_once_it_is_settled(
    operator: Operator,
) -> None:
    order = operator.cachao.add_order()
    snapshot = operator.stripe.create_paid_checkout(
        amount=order.amount,
        currency=order.currency,
        metadata={"order_id": str(order.id)},
        deliver=False,
    )
    thin = next(iter(operator.stripe.account.test.thin_events.values()))
    deliver(thin, operator.database)
    settle = ("resolve", operator.anomaly(), "--as", "settled")
    assert operator.type(*settle)[0] == 1

    code, out = operator.type("retry", operator.anomaly())

    assert (code, operator.cachao.status(order)) == (1, "paid")
    assert f"{snapshot['id']}: settled." in out
    assert f"anomalies resolve {operator.anomaly()} --as settled" in out
    assert operator.type(*settle)[0] == 0
    assert operator.kept()[0] == "settled"


def test_refunded_is_believed_only_if_stripe_says_so(operator: Operator) -> None:
    order = operator.cachao.add_order()
    operator.pay(order)
    event = operator.pay(order)
    payment = event["data"]["object"]["payment_intent"]
    refuse = ("resolve", operator.anomaly(), "--as", "refunded")
    code, out = operator.type(*refuse)
    assert (code, operator.kept()) == (1, (None, None, None))
    assert f"refunded 0 eur in minor units of {order.amount} eur" in out
    operator.stripe.refund(payment, amount=order.amount - 1)
    assert operator.type(*refuse)[0] == 1
    operator.stripe.refund(payment)
    assert operator.type(*refuse)[0] == 0
    assert operator.kept() == ("refunded", CALLER, None)


def test_settled_is_believed_only_if_the_ledger_says_so(operator: Operator) -> None:
    order = operator.cachao.add_order()
    operator.pay(order)
    operator.pay(order)
    code, out = operator.type("resolve", operator.anomaly(), "--as", "settled")
    assert code == 1
    assert "the ledger has no settlement by its payment" in out
    assert operator.kept() == (None, None, None)


def test_dismissing_needs_a_note_which_is_kept(operator: Operator) -> None:
    operator.pay(operator.cachao.add_order(), amount=100)
    dismiss = ("resolve", operator.anomaly(), "--as", "dismissed")
    code, out = operator.type(*dismiss)
    assert code == 1
    assert "--note TEXT" in out
    assert operator.type(*dismiss, "--note", "a test of ours")[0] == 0
    assert operator.kept() == ("dismissed", CALLER, "a test of ours")
    assert operator.type(*dismiss, "--note", "another")[0] == 0
    assert operator.kept() == ("dismissed", CALLER, "a test of ours")
    code, out = operator.type("resolve", operator.anomaly(), "--as", "settled")
    assert code == 1
    assert "closed before, and stays so: dismissed" in out


def test_an_anomaly_that_is_not_there_is_said(operator: Operator) -> None:
    code, out = operator.type("retry", "4711")
    assert code == 1
    assert "no open anomaly 4711" in out
    code, out = operator.type("resolve", "4711", "--as", "refunded")
    assert code == 1
    assert "There is no anomaly 4711." in out


@pytest.mark.parametrize(
    ("denied", "arguments", "grant"),
    [
        ("operations_read_handler.handler", ("list",), "grant_observe"),
        (
            *("operations_resolve_handler.handler",),
            *(("resolve", "1", "--as", "settled"), "grant_resolve"),
        ),
    ],
)
def test_who_may_not_learns_what_to_ask_for(
    operator: Operator, denied: str, arguments: tuple[str, ...], grant: str
) -> None:
    operator.account.denied.add(denied)
    code, out = operator.type(*arguments)
    assert code == 2
    assert grant in out


def test_the_document_holds_what_the_lines_say_and_nothing_personal(operator: Operator) -> None:
    order = operator.cachao.add_order()
    operator.pay(order, amount=100)
    operator.cachao.query("UPDATE ticket_orders SET email = 'ann@example.com'")
    operator.cachao.query("UPDATE payment_anomalies SET detail = 'ann@example.com'")
    operator.capfd.readouterr()
    command.anomalies(parser().parse_args(["anomalies", "list", "--json"]))
    out, err = operator.capfd.readouterr()
    document = json.loads(out)
    assert (document["command"], document["exit_code"]) == ("anomalies", 1)
    assert document["anomalies"][0]["order_id"] == str(order.id)
    assert "@" not in out + err


def test_terminal_is_asked_before_an_anomaly_is_closed(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.pay(operator.cachao.add_order(), amount=100)
    dismiss = ("resolve", operator.anomaly(), "--as", "dismissed", "--note", "a test of ours")

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, out = operator.type(*dismiss)
    assert (code, operator.kept()) == (2, (None, None, None))
    assert f"Close anomaly {operator.anomaly()} as dismissed, for good?" in out

    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert operator.type(*dismiss, "--yes")[0] == 0
    assert operator.kept() == ("dismissed", CALLER, "a test of ours")
