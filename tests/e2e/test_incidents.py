"""What the operator is paged for, played to its end: page, runbook, commands, every order settled.

Each incident breaks one thing in a cloud of its own. The commands are those of `docs/runbook.md`,
read from its text and run in a shell; what was typed nowhere in the runbook is done here only as
the shop, as Stripe, or as whoever broke it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, Self

import pytest

from local.checkouts import Event
from local.cloud import LocalCloud
from local.fake_stripe.account import Secret
from local.fake_stripe.delivery import sign
from local.shop import Order
from local.waiting import wait_for
from tests.e2e.administrator import as_root
from tests.e2e.conftest import TIMING
from tests.e2e.on_call import OnCall
from tests.e2e.operator_shell import OperatorShell
from tests.infrastructure import runbook

pytestmark = pytest.mark.xdist_group("e2e")

EVENT_FUNCTION = "cachao-stripe-event-bridge-handler"
WEBHOOK_FUNCTION = "cachao-stripe-payment-function"
ON_FAILURE = f"{EVENT_FUNCTION}-on-failure-queue-visible-messages"
DLQ = "cachao-stripe-event-dlq-visible-messages"
ANOMALIES = "cachao-payment-anomalies"
RECONCILED = "cachao-reconciled"


class Night:
    """One incident, as whoever is on call lives through it."""

    def __init__(self, cloud: LocalCloud, shell: OperatorShell, on_call: OnCall) -> None:
        self.cloud = cloud
        self.orders: list[Order] = []
        """Those whose customers have paid."""
        self.ran: list[str] = []
        """The sections of the runbook of which something was run."""
        self.said = ""
        """What the last block printed."""
        self._shell = shell
        self._on_call = on_call
        self._variables: dict[str, str] = {}
        self._restoring = ExitStack()
        self.restore = self._restoring.callback
        """Ask for what puts back what the incident leaves otherwise, even if it fails."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._restoring.close()

    @property
    def events(self) -> Any:
        """EventBridge."""
        return self.cloud.aws.client("events")

    @property
    def functions(self) -> Any:
        """Lambda."""
        return self.cloud.aws.client("lambda")

    @property
    def rule(self) -> dict[str, str]:
        """The rule, as calls name it."""
        name = self.cloud.addresses.event_rule_arn.rpartition("/")[2]
        return {"Name": name, "EventBusName": self.cloud.addresses.event_bus}

    def order(self, **columns: Any) -> Order:
        """Take an order that must be settled when the night is over."""
        self.orders.append(self.cloud.shop.add_order(**columns))
        return self.orders[-1]

    def paid(self) -> Event:
        """Return the event of an order that was paid, which nothing has delivered yet."""
        return self.cloud.stripe.paid(self.order())

    def lost(self) -> Event:
        """Return the event of an order that was paid twenty minutes ago."""
        created = int(time.time()) - 1200
        return self.cloud.stripe.pay(self.order(), created=created, deliver=False)

    def reconciled(self) -> None:
        """Let the hour pass after which reconciliation asks Stripe for what is missing."""
        [order] = self.orders

        def settled() -> bool | None:
            if self.cloud.shop.state(order).settlements:
                return True
            self.cloud.shop.an_hour_passes()
            return None

        wait_for(settled, "reconciliation to settle the order")

    def page(self, alarm: str) -> str:
        """Wait for the page. Return the anchor of the runbook's entry in it."""
        told = self._on_call.wait_for_alarm(alarm)
        [anchor] = re.findall(r"^Runbook: \S+#(\S+)$", told["AlarmDescription"], re.MULTILINE)
        for dimension in told["Trigger"].get("Dimensions", []):
            # CloudWatch writes these names in lower case, the emulator as in its API.
            match tuple(value for _, value in sorted(dimension.items())):
                case "FunctionName", value:
                    self._variables["FUNCTION"] = value
                case "QueueName", value:
                    url = self.cloud.aws.client("sqs").get_queue_url(QueueName=value)
                    self._variables["QUEUE_URL"] = url["QueueUrl"]
        return str(anchor)

    def run(
        self,
        section: str,
        *blocks: int,
        filled_in: Mapping[str, str] | None = None,
        typed: str = "",
        first: str = "",
    ) -> str:
        """Run the shell commands of a section, all or those blocks. Return what they printed."""
        commands = runbook.commands(section)
        script = first + "\n".join(commands[each] for each in blocks or range(len(commands)))
        self.ran.append(section)
        self.said = self._shell.run(
            script, variables=self._variables, filled_in=filled_in, typed=typed
        )
        return self.said

    def redrive(self) -> None:
        """Redrive as the runbook says, and again as long as it says that messages remain."""
        wait_for(
            lambda: None if "Messages remain" in self.run("redrive-a-message") else True,
            "a redrive after which no messages remain",
        )

    def run_sql(self, section: str) -> list[tuple[Any, ...]]:
        """Run the statements of a section. Return the rows of the last one."""
        self.ran.append(section)
        rows: list[tuple[Any, ...]] = []
        for block in runbook.commands(section, language="sql"):
            for statement in block.strip().rstrip(";").split(";"):
                rows = as_root(self.cloud, statement)
        return rows

    def bring_back(self, event: Event) -> None:
        """Bring one event back from Stripe, with the key of the stack."""
        filled_in = {"evt_...": event["id"], "cachao/stripe-operator-key": "local/stripe"}
        self.run(_FROM_STRIPE, 1, filled_in=filled_in)
        assert "settled" in self.said

    def anomaly(self) -> str:
        """Return the number of the anomaly that the entry's first command lists."""
        listed = self.run("payment-anomalies", 0)
        [number] = re.findall(r"^(\d+)  ", listed, re.MULTILINE)
        return str(number)


def database_down(night: Night) -> None:
    """The database is away for a while, and an event's retries run out."""
    event = night.paid()
    night.cloud.database.stop()
    try:
        night.cloud.stripe.publish(event)
        entry = night.page(ON_FAILURE)
        assert "LedgerUnavailable" in night.run(entry)
        assert "on-failure" in night.run("async-events-dropped")
    finally:
        night.cloud.database.start()
    order = str(night.orders[0].id)
    night.run("what-became-of-a-payment", filled_in={"4711": order})
    assert "NOT SETTLED" in night.said
    night.redrive()


def password_rotated(night: Night) -> None:
    """The database's password was changed, and the secret was not."""
    password, event = night.cloud.database.address.password, night.paid()
    night.restore(set_password, night, password)
    set_password(night, "another")

    night.cloud.stripe.publish(event)
    entry = night.page(f"{EVENT_FUNCTION}-errors")
    night.cloud.operator.wait_until_waiting(night.cloud.addresses.on_failure_queue_url, 1)
    night.run(entry, 0)
    assert "LedgerUnavailable" in night.run("logs")
    night.restore(night.run, entry, 1, typed=f"{password}\n")
    night.run(entry, 1, typed="another\n")
    night.redrive()


def set_password(night: Night, password: str) -> None:
    user = night.cloud.database.address.user
    as_root(night.cloud, f"ALTER USER {user}@'%' IDENTIFIED BY '{password}'")
    as_root(night.cloud, f"KILL USER {user}")


def forgotten_transaction(night: Night) -> None:
    """A forgotten client holds the order's row; the webhook answers 503 as long."""
    event = night.paid()
    [order] = night.orders
    with closing(night.cloud.shop.connect()) as client, client.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE ticket_orders SET validated = 1 WHERE id = %s", (order.id,))
        assert night.cloud.stripe.post(event).status == 503
        night.page("cachao-webhook-server-errors")
        found = night.run_sql("function-duration")
        thread = client.thread_id()  # type: ignore[no-untyped-call]
        assert thread in [row[0] for row in found]
        as_root(night.cloud, f"KILL {thread}")
    assert night.cloud.stripe.post(event).outcome == "settled"


def rule_disabled(night: Night) -> None:
    """Somebody disabled the rule; reconciliation settles, and says that it had to."""
    night.events.disable_rule(**night.rule)
    night.cloud.stripe.publish(night.lost())
    night.reconciled()
    entry = night.page(RECONCILED)
    assert "DISABLED" in night.run(entry)
    night.run_sql("no-stripe-events")
    night.run("no-stripe-events")


def target_removed(night: Night) -> None:
    """Somebody removed the rule's target."""
    [target] = night.events.list_targets_by_rule(
        Rule=night.rule["Name"], EventBusName=night.rule["EventBusName"]
    )["Targets"]
    night.events.remove_targets(
        Rule=night.rule["Name"], EventBusName=night.rule["EventBusName"], Ids=[target["Id"]]
    )
    night.cloud.stripe.publish(night.lost())
    night.reconciled()
    entry = night.page(RECONCILED)
    assert "rule does not deliver to the function" in night.run(entry)
    night.run("bring-back-what-was-deleted-or-changed")


def stripe_disabled(night: Night) -> None:
    """Somebody disabled both the destination and the endpoint in Stripe."""
    stripe, server = night.cloud.stripe_server.client(), night.cloud.stripe_server
    destination = night.cloud.stripe.target("eventbridge")
    endpoint = night.cloud.stripe.target("webhook")
    stripe.v2.core.event_destinations.disable(destination)
    stripe.v1.webhook_endpoints.update(endpoint, {"disabled": True})
    server.deliver(night.lost()["id"])
    server.wait_until_delivered()
    night.reconciled()
    entry = night.page(RECONCILED)
    assert night.run(entry).count("is disabled: it sends nothing") == 2
    stripe.v2.core.event_destinations.enable(destination)
    stripe.v1.webhook_endpoints.update(endpoint, {"disabled": False})


def function_deleted(night: Night) -> None:
    """Somebody deleted the function."""
    night.functions.delete_function(FunctionName=EVENT_FUNCTION)
    night.cloud.stripe.publish(night.paid())
    entry = night.page(DLQ)
    assert "NO_RESOURCE" in night.run(entry)
    night.run("bring-back-what-was-deleted-or-changed")
    night.redrive()


def permission_removed(night: Night) -> None:
    """Somebody took EventBridge's permission away."""
    remove_permission(night)
    night.cloud.stripe.publish(night.paid())
    entry = night.page("cachao-rule-failed-invocations")
    night.run(entry)
    night.run("bring-back-what-was-deleted-or-changed")
    night.redrive()


def remove_permission(night: Night) -> None:
    policy = json.loads(night.functions.get_policy(FunctionName=EVENT_FUNCTION)["Policy"])
    for statement in policy["Statement"]:
        night.functions.remove_permission(FunctionName=EVENT_FUNCTION, StatementId=statement["Sid"])


def policy_removed(night: Night) -> None:
    """The permission is gone, and so is the policy of the queue for what cannot be delivered."""
    remove_permission(night)
    night.cloud.aws.client("sqs").set_queue_attributes(
        QueueUrl=night.cloud.addresses.delivery_dlq_url, Attributes={"Policy": ""}
    )
    night.cloud.stripe.publish(night.lost())
    entry = night.page("cachao-rule-invocations-failed-to-be-sent-to-dlq")
    night.run(entry)
    night.run("bring-back-what-was-deleted-or-changed")
    night.run("give-the-stripe-event-dlq-its-policy")
    night.run(_FROM_STRIPE, 0)


def throttled(night: Night) -> None:
    """Somebody set the function's reserved concurrency to 0."""
    before = night.functions.get_function_concurrency(FunctionName=EVENT_FUNCTION)
    night.restore(
        night.functions.put_function_concurrency,
        FunctionName=EVENT_FUNCTION,
        ReservedConcurrentExecutions=before["ReservedConcurrentExecutions"],
    )
    night.functions.put_function_concurrency(
        FunctionName=EVENT_FUNCTION, ReservedConcurrentExecutions=0
    )
    night.cloud.stripe.publish(night.paid())
    entry = night.page(ON_FAILURE)
    assert "ZeroReservedConcurrency" in night.run(entry)
    night.run("function-throttles")
    night.redrive()


def signing_secret_rolled(night: Night) -> None:
    """Somebody rolled the endpoint's signing secret in Stripe, and ended the old one at once."""
    event, stripe = night.paid(), night.cloud.stripe
    new = night.cloud.stripe_server.roll_secret(stripe.target("webhook"), overlap_seconds=0)
    assert stripe.post(event).status == 400
    entry = night.page("cachao-signature-failures")
    night.run(entry, typed=f"{new}\n")
    wait_for(lambda: stripe.post(event).status == 200 or None, "the new secret to be read")


def poison(night: Night) -> None:
    """A signed request waits in the webhook's queue, and its signature is stale."""
    event = night.paid()
    body = json.dumps(event)
    request = {
        "resource": "/webhooks/stripe",
        "path": "/webhooks/stripe",
        "httpMethod": "POST",
        "headers": {"Stripe-Signature": sign(body, [Secret("whsec_any")], time.time() - 3600)},
        "body": body,
        "isBase64Encoded": False,
    }
    record = {
        "version": "1.0",
        "requestContext": {
            "functionArn": night.functions.get_function(FunctionName=WEBHOOK_FUNCTION)[
                "Configuration"
            ]["FunctionArn"],
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": request,
        "responsePayload": {"errorType": "LedgerUnavailable", "errorMessage": "any"},
    }
    queue = night.cloud.addresses.webhook_on_failure_queue_url
    night.cloud.aws.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(record))
    entry = night.page(f"{WEBHOOK_FUNCTION}-on-failure-queue-visible-messages")
    night.run(entry)
    assert "unauthenticated" in night.run("redrive-a-message", 0)
    night.bring_back(event)
    assert event["id"] in night.run("take-a-message-out-by-hand")


def api_key_revoked(night: Night) -> None:
    """Stripe knows the API key no more, so reconciliation fails; a payment is missing meanwhile."""
    secrets, server = night.cloud.aws.client("secretsmanager"), night.cloud.stripe_server
    old = json.loads(secrets.get_secret_value(SecretId="local/stripe")["SecretString"])["api_key"]
    server.revoke_key(old)
    night.lost()
    night.cloud.shop.an_hour_passes()
    entry = night.page("cachao-stripe-reconciliation-errors")
    new = server.add_key(permissions=["webhook_write", "event_read"])
    night.run(entry, 0, typed=f"{new}\n")
    night.cloud.shop.an_hour_passes()
    night.run(entry, 1)


def wrong_amount(night: Night) -> None:
    """Five euros too little were paid: refunded, and the order stays open."""
    order = night.cloud.shop.add_order()
    event = night.cloud.stripe.paid(order, amount=4500)
    night.cloud.stripe.publish(event)
    entry = night.page(ANOMALIES)
    number = night.anomaly()
    server = night.cloud.stripe_server
    server.refund(event["data"]["object"]["payment_intent"])
    key = server.add_key(permissions=["charge_read"])
    night.run(entry, 2, filled_in={"12": number}, first=f"export STRIPE_API_KEY={key}\n")
    assert "is closed: refunded" in night.said
    assert night.cloud.shop.state(order).settlements == 0


def order_written_late(night: Night) -> None:
    """The shop wrote the order into its database an hour after it was paid."""
    order, shop = night.order(), night.cloud.shop
    away = "UPDATE ticket_orders SET id = id + %s WHERE id = %s"
    shop.query(away, 1_000_000, order.id)
    created = int(time.time()) - 3600
    night.cloud.stripe.publish(night.cloud.stripe.pay(order, created=created, deliver=False))
    entry = night.page(ANOMALIES)
    number = night.anomaly()
    shop.query(away, -1_000_000, int(order.id) + 1_000_000)
    assert "settled" in night.run(entry, 1, filled_in={"12": number})


def ticket_row_missing(night: Night) -> None:
    """The row of the order's ticket is not there."""
    event, shop = night.paid(), night.cloud.shop
    [order] = night.orders
    away = "UPDATE tickets SET id = id + %s WHERE id = %s"
    shop.query(away, 1_000_000, order.ticket_id)
    night.cloud.stripe.publish(event)
    entry = night.page(ANOMALIES)
    number = night.anomaly()
    assert "cannot_be_settled" in night.said
    shop.query(away, -1_000_000, int(order.ticket_id) + 1_000_000)
    assert "settled" in night.run(entry, 1, filled_in={"12": number})


def oversold(night: Night) -> None:
    """More tickets are sold than there are; the order is settled, and a seat is found."""
    order = night.order(ticket_id=night.cloud.shop.add_ticket(limit=1))
    night.cloud.stripe.publish(night.cloud.stripe.paid(order))
    entry = night.page(ANOMALIES)
    number = night.anomaly()
    assert "oversold" in night.said
    night.run(entry, 3, filled_in={"12": number})
    assert "is closed: settled" in night.said


def paid_twice(night: Night) -> None:
    """A customer paid an order twice, and is given the money at the door."""
    order = night.order()
    for _ in range(2):
        night.cloud.stripe.publish(night.cloud.stripe.paid(order))
        night.cloud.shop.wait_until(order, "paid")
    entry = night.page(ANOMALIES)
    number = night.anomaly()
    assert "second_payment" in night.said
    night.run(entry, 4, filled_in={"12": number})
    assert "is closed: dismissed" in night.said


_BACK = "bring-back-what-was-deleted-or-changed"
_REDRIVE = "redrive-a-message"
_FROM_STRIPE = "bring-an-event-back-from-stripe"
INCIDENTS: dict[Callable[[Night], None], set[str]] = {
    database_down: {
        "on-failure-queue",
        "async-events-dropped",
        "what-became-of-a-payment",
        _REDRIVE,
    },
    password_rotated: {"function-errors", "logs", _REDRIVE},
    forgotten_transaction: {"function-duration"},
    rule_disabled: {"reconciled", "no-stripe-events"},
    target_removed: {"reconciled", _BACK},
    stripe_disabled: {"reconciled"},
    function_deleted: {"stripe-event-dlq", _BACK, _REDRIVE},
    permission_removed: {"rule-failed-invocations", _BACK, _REDRIVE},
    policy_removed: {
        "rule-dlq-failures",
        "give-the-stripe-event-dlq-its-policy",
        _BACK,
        _FROM_STRIPE,
    },
    throttled: {"on-failure-queue", "function-throttles", _REDRIVE},
    signing_secret_rolled: {"signature-failures"},
    poison: {"on-failure-queue", _REDRIVE, _FROM_STRIPE, "take-a-message-out-by-hand"},
    api_key_revoked: {"reconciliation-failed"},
    wrong_amount: {"payment-anomalies"},
    order_written_late: {"payment-anomalies"},
    ticket_row_missing: {"payment-anomalies"},
    oversold: {"payment-anomalies"},
    paid_twice: {"payment-anomalies"},
}
"""Every incident, with the sections of the runbook whose commands are run in it."""

EVERY_NIGHT = {"names", "is-the-whole-chain-healthy"}
"""Run in each: what the shell begins with, and what says that all is well."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A cloud in which these incidents alone happen, deployed once."""
    with LocalCloud(timing=TIMING) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def shell(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> OperatorShell:
    return OperatorShell(cloud, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def on_call(cloud: LocalCloud) -> OnCall:
    return OnCall(cloud.aws, topic_arn=cloud.addresses.topic_arn)


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.__name__)
def test_incident_ends_with_every_order_settled_once_and_all_well(
    cloud: LocalCloud, shell: OperatorShell, on_call: OnCall, incident: Callable[[Night], None]
) -> None:
    on_call.expect_silence()
    with Night(cloud, shell, on_call) as night:
        incident(night)

    for order in night.orders:
        state = cloud.shop.wait_until(order, "paid")
        assert (state.sold, state.used, state.settlements) == (order.quantity, 1, 1)
    wait_for(
        lambda: "All is well." in night.run("is-the-whole-chain-healthy") or None,
        "doctor to find everything well",
        seconds=120,
    )
    assert set(night.ran) - EVERY_NIGHT == INCIDENTS[incident]


def test_every_command_of_the_runbook_is_run_in_an_incident_or_says_that_it_is_not() -> None:
    run = EVERY_NIGHT.union(*INCIDENTS.values())
    not_run = {
        section
        for section, text in runbook.sections().items()
        if runbook.commands(section) and section not in run
    }
    # How the command is installed is tried in tests/packaging.
    assert not_run - {"tools"} == {
        section
        for section, text in runbook.sections().items()
        if "not tried in the local cloud" in text
    }


def test_commands_of_an_entry_stand_in_blocks_where_they_can_be_copied() -> None:
    inline = re.findall(r"`((?:aws|npx|stripe-settlement) [^`]*--[^`]*)`", runbook.TEXT)
    assert inline == []
