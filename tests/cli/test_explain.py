"""One payment's story, from the logs, the queues and Stripe, and the verdict on it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from local.fake_stripe.server import StripeServer
from local.servers.emulated_aws import EmulatedAWS
from stripe_settlement_cli import queue_consumer
from stripe_settlement_cli.cli import main
from tests.cli.conftest import Ended
from tests.cli.stand_in import StandIn
from tests.support.stripe_server import partner_events, stripe_server

Explain = Callable[[str], Ended]

__all__ = ["partner_events", "stripe_server"]

pytestmark = pytest.mark.xdist_group("cli")


@pytest.fixture
def explain(
    own_stack: StandIn,
    run: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Explain:
    """The command on the test's own stack; `run` has pointed the environment there."""
    monkeypatch.setattr(queue_consumer, "_WAIT", 0)

    def explain(id_: str) -> Ended:
        capfd.readouterr()
        code = main(["explain", "--stack", own_stack.name, id_])
        return Ended(code, *capfd.readouterr())

    return explain


@pytest.fixture
def log(aws: EmulatedAWS, own_stack: StandIn) -> Callable[..., None]:
    """Write a line into the log of the EventBridge function, as it does after a delivery."""
    logs = aws.client("logs")
    for function in ("WebhookFunction", "EventFunction"):
        group = f"/aws/lambda/{own_stack.ids[function]}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="test")

    def log(**fields: Any) -> None:
        line = {"route": "eventbridge", "event_id": "evt_1", "order_id": 4711, **fields}
        logs.put_log_events(
            logGroupName=group,
            logStreamName="test",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": json.dumps(line)}],
        )

    return log


@pytest.fixture
def stripe_key(stripe_server: StripeServer, monkeypatch: pytest.MonkeyPatch, run: object) -> str:
    """A key in the environment that may read what the command asks for."""
    key = stripe_server.account.add_key(permissions=["checkout_session_read", "event_read"])
    monkeypatch.setenv("STRIPE_API_KEY", key)
    monkeypatch.setenv("STRIPE_API_BASE", stripe_server.url)
    return key


def paid(server: StripeServer) -> dict[str, Any]:
    """The session of a paid checkout of order 4711, with the ids of its `event`, also `thin`."""
    event = server.create_paid_checkout(amount=5000, metadata={"order_id": "4711"}, deliver=False)
    [thin] = server.account.test.thin_events
    return {**event["data"]["object"], "event": event["id"], "thin": thin}


@pytest.mark.usefixtures("stripe_key")
def test_a_settled_order_is_settled_with_every_delivery_in_order(
    explain: Explain, log: Callable[..., None]
) -> None:
    log(outcome="retry", error="LedgerUnavailable", reason="no connection")
    log(outcome="settled")
    log(outcome="settled", order_id=47110, event_id="evt_another")

    ended = explain("4711")

    assert (ended.code, ended.out.splitlines()[-1]) == (0, "SETTLED.")
    assert ended.out.index("LedgerUnavailable: no connection") < ended.out.index("settled  evt_1")
    assert "evt_another" not in ended.out


def test_a_paid_order_that_waits_in_a_queue_names_the_queue_and_the_next_command(
    own_stack: StandIn, stripe_server: StripeServer, stripe_key: str, explain: Explain
) -> None:
    session = paid(stripe_server)
    event = own_stack.failed()

    ended = explain(session["id"])

    assert ended.code == 1
    assert event in ended.out
    assert f"{session['id']}  paid  5000 eur in minor units  order 4711" in ended.out
    queue = own_stack.queue_name("OnFailure")
    assert f"NOT SETTLED: paid at Stripe, waits in {queue}.  ->" in ended.out
    assert f"stripe-settlement redrive --stack {own_stack.name}" in ended.out
    assert own_stack.counts("OnFailure").visible == 1
    assert stripe_key not in ended.out + ended.err


@pytest.mark.usefixtures("stripe_key")
def test_an_order_of_a_shop_whose_ids_are_text_is_found(
    explain: Explain, log: Callable[..., None]
) -> None:
    uuid = "6f1c4d9e-8d4e-4a57-9d52-0d8a1f0c7b11"
    log(outcome="settled", order_id=uuid)

    ended = explain(uuid)

    assert (ended.code, ended.out.splitlines()[-1]) == (0, "SETTLED.")


@pytest.mark.usefixtures("stripe_key")
@pytest.mark.parametrize("by", ["id", "payment_intent", "event", "thin"])
def test_a_payment_that_no_route_brought_is_found_by_each_of_stripes_ids(
    stripe_server: StripeServer, explain: Explain, by: str
) -> None:
    ended = explain(paid(stripe_server)[by])

    assert ended.code == 1
    assert "NOT SETTLED: paid at Stripe, and neither route has brought it." in ended.out


@pytest.mark.usefixtures("stripe_key")
def test_a_session_of_stripes_leads_to_the_deliveries_of_its_order(
    stripe_server: StripeServer, explain: Explain, log: Callable[..., None]
) -> None:
    log(outcome="settled")

    assert explain(paid(stripe_server)["payment_intent"]).code == 0


@pytest.mark.usefixtures("stripe_key")
def test_an_anomaly_is_named_with_its_runbook_entry(
    explain: Explain, log: Callable[..., None]
) -> None:
    log(outcome="anomaly", anomaly="amount_mismatch")

    ended = explain("4711")

    assert ended.code == 1
    assert "NOT SETTLED: an anomaly, amount_mismatch.  ->  'Payment anomalies'" in ended.out


@pytest.mark.usefixtures("stripe_key", "log")
def test_an_order_of_which_nothing_is_known_is_no_order(explain: Explain) -> None:
    ended = explain("4711")

    assert ended.code == 2
    assert "Nothing is known of 4711" in ended.out


def test_without_a_key_stripe_is_not_known_and_an_unpaid_order_is_not_well(
    explain: Explain, log: Callable[..., None]
) -> None:
    log(outcome="awaiting_payment")

    ended = explain("4711")

    assert ended.code == 1
    assert "? Stripe not looked at: there is no API key; set STRIPE_API_KEY" in ended.out


@pytest.mark.usefixtures("stripe_key")
def test_a_caller_who_may_not_read_the_logs_sees_what_to_ask_for(
    own_stack: StandIn, explain: Explain, deny: Callable[[str], None], log: Callable[..., None]
) -> None:
    log(outcome="settled")
    deny("logs:FilterLogEvents")

    ended = explain("4711")

    assert ended.code == 1
    name = own_stack.ids["EventFunction"]
    assert f"? the log of {name} not looked at: AccessDenied FilterLogEvents" in ended.out


@pytest.mark.parametrize("id_", ["", "evt_", "cs_%", "4711; DROP", "4" * 65, '47"11', "Å"])
def test_what_is_no_id_begins_nothing(id_: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--stack", "any", "--", id_])

    assert ended.value.code == 2


def test_nothing_personal_is_printed(
    own_stack: StandIn, explain: Explain, log: Callable[..., None]
) -> None:
    log(outcome="settled", customer_email="jenny.rosen@example.com")
    own_stack.failed()

    ended = explain("4711")

    assert "jenny" not in (ended.out + ended.err).lower()
