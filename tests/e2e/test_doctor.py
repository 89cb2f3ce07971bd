"""`stripe-settlement doctor` on the deployed app: each line is broken, seen, and mended as it says.

Not played here, because the local cloud cannot: a function that failed to start, a subscription
that waits for its mail's link (the emulator opens it: tests/cli), a server of another version or
without TLS (tests/integration), and a transaction that is older than a minute (tests/cli).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from local.cloud import STACK, LocalCloud
from local.servers.cdk import REPOSITORY
from local.waiting import wait_for
from tests.e2e.administrator import as_root
from tests.e2e.conftest import TIMING
from tests.e2e.operator_shell import OperatorShell
from tests.infrastructure import runbook

pytestmark = pytest.mark.xdist_group("e2e")

REVERTED = "`npx cdk deploy --revert-drift`, with the options you deploy with, brings it back"


class Line(NamedTuple):
    """One line of doctor's."""

    check: str
    state: str
    hint: str


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A cloud in which no other test has left an anomaly or an order, which doctor would name."""
    with LocalCloud(timing=TIMING) as cloud:
        # So that long transactions are looked at; that it is missing is a line of its own.
        as_root(cloud, f"GRANT PROCESS ON *.* TO {user(cloud)}")
        yield cloud


@pytest.fixture(scope="module")
def shell(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> OperatorShell:
    return OperatorShell(cloud, tmp_path_factory.mktemp("operator"))


def user(cloud: LocalCloud) -> str:
    """The functions' database user."""
    return f"{cloud.database.address.user}@'%'"


def doctor(cloud: LocalCloud, *arguments: str) -> list[Line]:
    """Run the command without a stack's name. Return the lines that are not well."""
    done = subprocess.run(
        [sys.executable, "-m", "stripe_settlement_cli", "doctor", "--json", *arguments],
        cwd=REPOSITORY,
        env=cloud.aws.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert (document["stack"], document["mode"]) == (STACK, "TEST"), done.stderr
    return [
        Line(each["check"], each["state"], each["hint"])
        for each in document["checks"]
        # The local cloud speaks to its database without TLS, and says so.
        if each["state"] != "well" and (each["check"], each["state"]) != ("server", "advice")
    ]


def wait_until_well(cloud: LocalCloud) -> None:
    """Wait until nothing is left to mend; an alarm of what was before clears after its period."""
    wait_for(lambda: doctor(cloud) == [] or None, "doctor to find everything well", seconds=120.0)


def lines(found: list[Line]) -> set[tuple[str, str]]:
    """The checks that are not well, and how; alarms come and go by their own clock."""
    return {(each.check, each.state) for each in found if each.check != "alarms"}


def test_deployed_app_is_all_well_from_its_event_source_to_who_is_notified(
    cloud: LocalCloud,
) -> None:
    wait_until_well(cloud)


def test_webhook_is_probed_where_it_is(cloud: LocalCloud) -> None:
    wait_until_well(cloud)

    # Its forged request may set off the alarm on signature failures, which is another line.
    found = doctor(cloud, "--probe", cloud.addresses.webhook_url)
    assert "probe" not in {each.check for each in found}


def rule(cloud: LocalCloud) -> dict[str, str]:
    return {
        "Name": cloud.addresses.event_rule_arn.rpartition("/")[2],
        "EventBusName": cloud.addresses.event_bus,
    }


def put_pattern(cloud: LocalCloud) -> None:
    pattern = {"source": [cloud.addresses.event_bus], "detail-type": ["checkout.session.expired"]}
    cloud.aws.client("events").put_rule(**rule(cloud), EventPattern=json.dumps(pattern))


def remove_target(cloud: LocalCloud) -> None:
    of = {"Rule": rule(cloud)["Name"], "EventBusName": rule(cloud)["EventBusName"]}
    events = cloud.aws.client("events")
    ids = [each["Id"] for each in events.list_targets_by_rule(**of)["Targets"]]
    events.remove_targets(**of, Ids=ids)


def remove_permissions(cloud: LocalCloud, function: str) -> None:
    client = cloud.aws.client("lambda")
    for statement in json.loads(client.get_policy(FunctionName=function)["Policy"])["Statement"]:
        client.remove_permission(FunctionName=function, StatementId=statement["Sid"])


def delete_invoke_config(cloud: LocalCloud, function: str) -> None:
    cloud.aws.client("lambda").delete_function_event_invoke_config(
        FunctionName=function, Qualifier="$LATEST"
    )


def api(cloud: LocalCloud) -> str:
    [found] = cloud.aws.client("apigateway").get_rest_apis()["items"]
    return str(found["id"])


def delete_method(cloud: LocalCloud) -> None:
    client = cloud.aws.client("apigateway")
    for resource in client.get_resources(restApiId=api(cloud))["items"]:
        if "POST" in resource.get("resourceMethods", {}):
            client.delete_method(restApiId=api(cloud), resourceId=resource["id"], httpMethod="POST")


def delete_stage(cloud: LocalCloud) -> None:
    cloud.aws.client("apigateway").delete_stage(restApiId=api(cloud), stageName="Prod")


def delete_function(cloud: LocalCloud, function: str) -> None:
    cloud.aws.client("lambda").delete_function(FunctionName=function)


def test_each_thing_that_was_changed_by_hand_is_its_line_until_the_drift_is_reverted(
    cloud: LocalCloud, shell: OperatorShell
) -> None:
    """The deployment mends all of them, so it runs once; each is seen by itself before it."""
    event, webhook = cloud.addresses.event_function, cloud.addresses.webhook_function
    damages: list[tuple[Callable[[], None], set[str]]] = [
        (lambda: put_pattern(cloud), {"pattern"}),
        (lambda: remove_target(cloud), {"target", "deleted"}),
        (lambda: remove_permissions(cloud, event), {"event_permission"}),
        (lambda: delete_invoke_config(cloud, event), {"event_failures"}),
        (lambda: remove_permissions(cloud, webhook), {"webhook_permission"}),
        (lambda: delete_invoke_config(cloud, webhook), {"webhook_failures"}),
        (lambda: delete_stage(cloud), {"api_stage"}),
        (lambda: delete_method(cloud), {"api_method"}),
        (lambda: delete_function(cloud, event), {"event_function"}),
        (lambda: delete_function(cloud, webhook), {"webhook_function"}),
    ]
    wait_until_well(cloud)
    before = set[tuple[str, str]]()
    for damage, expected in damages:
        damage()
        found = doctor(cloud, "--stack", STACK)  # which is not found without its functions
        assert lines(found) - before == {(each, "broken") for each in expected}
        assert all(each.hint.startswith(REVERTED) for each in found if each.check in expected)
        before = lines(found)

    shell.run("\n".join(runbook.commands("bring-back-what-was-deleted-or-changed")))
    wait_until_well(cloud)


def test_probe_is_broken_while_the_webhook_is_not_where_it_was(
    cloud: LocalCloud, shell: OperatorShell
) -> None:
    wait_until_well(cloud)
    delete_stage(cloud)

    found = doctor(cloud, "--probe", cloud.addresses.webhook_url)
    assert lines(found) == {("api_stage", "broken"), ("probe", "broken")}
    shell.run("\n".join(runbook.commands("bring-back-what-was-deleted-or-changed")))
    assert lines(doctor(cloud, "--probe", cloud.addresses.webhook_url)) == set()
    wait_until_well(cloud)


@dataclass(frozen=True, kw_only=True)
class Break:
    """One thing that is broken, and how it is mended."""

    damage: Callable[[LocalCloud], object]
    line: str
    also: tuple[str, str] | None = None
    """A second line that the same thing shows in, and how."""
    state: str = "broken"
    hint: str
    """Stands in the line's hint."""
    mend: Callable[[LocalCloud], object] | None = None
    """What the hint tells a person to do in Stripe or in the database. None: the command that the
    hint begins with, as it stands there."""
    after: Callable[[LocalCloud], object] = lambda _cloud: None
    """Puts back what the mend leaves to a deployment."""


def reserve(cloud: LocalCloud, function: str, concurrency: int) -> None:
    cloud.aws.client("lambda").put_function_concurrency(
        FunctionName=function, ReservedConcurrentExecutions=concurrency
    )


def unsubscribe(cloud: LocalCloud) -> None:
    sns = cloud.aws.client("sns")
    topic = cloud.addresses.topic_arn
    for each in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])


def an_alarm(cloud: LocalCloud) -> str:
    return str(cloud.aws.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["AlarmName"])


def leave_a_message(cloud: LocalCloud) -> None:
    """Have the function fail on an event, which then waits."""
    event = cloud.stripe.paid(cloud.shop.add_order())
    password = cloud.database.address.password
    as_root(cloud, f"ALTER USER {user(cloud)} ACCOUNT LOCK")
    as_root(cloud, f"KILL USER {cloud.database.address.user}")
    cloud.stripe.publish(event)
    cloud.operator.wait_until_waiting(cloud.addresses.on_failure_queue_url, 1)
    as_root(cloud, f"ALTER USER {user(cloud)} IDENTIFIED BY '{password}' ACCOUNT UNLOCK")


def pay_too_little(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    cloud.stripe.publish(cloud.stripe.paid(order, amount=4500))
    wait_for(lambda: cloud.shop.anomalies(order) or None, "the anomaly")


def correct_and_retry(cloud: LocalCloud) -> None:
    [(number, order)] = cloud.shop.query(
        "SELECT id, order_id FROM payment_anomalies WHERE resolved_at IS NULL"
    )
    cloud.shop.query("UPDATE ticket_orders SET total_amount = 45.00 WHERE id = %s", order)
    done = cloud.operator.run("anomalies", "retry", str(number))
    assert done.returncode == 0, done.stderr


def lose_a_settlement(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    cloud.stripe.publish(cloud.stripe.paid(order))
    cloud.shop.wait_until(order, "paid")
    as_root(cloud, "CREATE TABLE lost AS SELECT * FROM settlements")
    as_root(cloud, "DELETE FROM settlements")


def restore_settlements(cloud: LocalCloud) -> None:
    as_root(cloud, "INSERT INTO settlements SELECT * FROM lost")
    as_root(cloud, "DROP TABLE lost")


def destinations(cloud: LocalCloud) -> Any:
    return cloud.stripe_server.client().v2.core.event_destinations


def set_types(cloud: LocalCloud, *, without: str | None = None) -> None:
    id_ = cloud.stripe.target("eventbridge")
    declared = json.loads(cloud.aws.client("events").describe_rule(**rule(cloud))["EventPattern"])[
        "detail-type"
    ]
    snapshots = [each for each in declared if not each.startswith("v1.") and each != without]
    destinations(cloud).update(id_, {"enabled_events": snapshots})


def set_endpoint(cloud: LocalCloud, *, disabled: bool) -> None:
    cloud.stripe_server.client().v1.webhook_endpoints.update(
        cloud.stripe.target("webhook"), {"disabled": disabled}
    )


def count_one_more(cloud: LocalCloud, more: int) -> None:
    cloud.shop.query("UPDATE tickets SET sold_quantity = sold_quantity + %s LIMIT 1", more)


BREAKS = {
    "destination disabled": Break(
        damage=lambda cloud: destinations(cloud).disable(cloud.stripe.target("eventbridge")),
        line="stripe_destination",
        hint="In Stripe, Workbench, Webhooks, enable it.",
        mend=lambda cloud: destinations(cloud).enable(cloud.stripe.target("eventbridge")),
    ),
    "destination without a type": Break(
        damage=lambda cloud: set_types(cloud, without="checkout.session.completed"),
        line="stripe_destination",
        hint="In Stripe, Workbench, Webhooks, add checkout.session.completed.",
        mend=set_types,
    ),
    "endpoint disabled": Break(
        damage=lambda cloud: set_endpoint(cloud, disabled=True),
        line="stripe_endpoint",
        hint="In Stripe, Workbench, Webhooks, enable it.",
        mend=lambda cloud: set_endpoint(cloud, disabled=False),
    ),
    "rule disabled": Break(
        damage=lambda cloud: cloud.aws.client("events").disable_rule(**rule(cloud)),
        line="rule",
        hint="aws events enable-rule --name ",
    ),
    "EventBridge function throttled": Break(
        damage=lambda cloud: reserve(cloud, cloud.addresses.event_function, 0),
        line="event_function",
        hint="aws lambda delete-function-concurrency --function-name ",
        after=lambda cloud: reserve(cloud, cloud.addresses.event_function, 10),
    ),
    "webhook function throttled": Break(
        damage=lambda cloud: reserve(cloud, cloud.addresses.webhook_function, 0),
        line="webhook_function",
        hint="aws lambda delete-function-concurrency --function-name ",
        after=lambda cloud: reserve(cloud, cloud.addresses.webhook_function, 10),
    ),
    "nobody subscribed": Break(
        damage=unsubscribe,
        line="subscriptions",
        hint="aws sns subscribe --topic-arn ",
    ),
    "alarm silenced": Break(
        damage=lambda cloud: cloud.aws.client("cloudwatch").disable_alarm_actions(
            AlarmNames=[an_alarm(cloud)]
        ),
        line="alarm_actions",
        hint="aws cloudwatch enable-alarm-actions --alarm-names ",
    ),
    "message waits": Break(
        damage=leave_a_message, line="queues", hint="stripe-settlement redrive --stack "
    ),
    "server read-only": Break(
        damage=lambda cloud: as_root(cloud, "SET GLOBAL read_only = 1"),
        line="server",
        hint="Name the writer as DbHost, and deploy.",
        # The local cloud has no second server to name.
        mend=lambda cloud: as_root(cloud, "SET GLOBAL read_only = 0"),
    ),
    "column renamed": Break(
        damage=lambda cloud: as_root(
            cloud, "ALTER TABLE discount_codes RENAME COLUMN used_count TO used_times"
        ),
        line="tables",
        also=("counters", "unknown"),
        hint="OrderTables.",
        mend=lambda cloud: as_root(
            cloud, "ALTER TABLE discount_codes RENAME COLUMN used_times TO used_count"
        ),
    ),
    "migration missing": Break(
        damage=lambda cloud: as_root(
            cloud, "DELETE FROM settlement_migrations ORDER BY number DESC LIMIT 1"
        ),
        line="migrations",
        hint="aws lambda invoke --function-name ",
    ),
    "privilege PROCESS missing": Break(
        damage=lambda cloud: as_root(cloud, f"REVOKE PROCESS ON *.* FROM {user(cloud)}"),
        line="transactions",
        state="advice",
        hint="GRANT PROCESS ON *.* TO the user of the functions.",
        mend=lambda cloud: as_root(cloud, f"GRANT PROCESS ON *.* TO {user(cloud)}"),
    ),
    "counter one too high": Break(
        damage=lambda cloud: count_one_more(cloud, 1),
        line="counters",
        state="advice",
        hint="A shop that counts refunds otherwise may mean it so.",
        mend=lambda cloud: count_one_more(cloud, -1),
    ),
    "settlement lost": Break(
        damage=lose_a_settlement,
        line="unsettled",
        also=("unsettled", "advice"),
        hint="stripe-settlement explain --stack ",
        mend=restore_settlements,
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_is_the_one_line_until_its_mend_has_run(
    cloud: LocalCloud, shell: OperatorShell, what: str
) -> None:
    broken = BREAKS[what]
    cloud.shop.add_ticket()  # of which the counter may be wrong
    wait_until_well(cloud)

    broken.damage(cloud)
    try:
        found = doctor(cloud)
        also = {broken.also} if broken.also else set()
        assert lines(found) == {(broken.line, broken.state)} | also
        hint = next(each.hint for each in found if each.check == broken.line)
        assert broken.hint in hint
    finally:
        if broken.mend is not None:
            broken.mend(cloud)
    if broken.mend is None:
        command = hint.partition(";")[0]
        shell.run(command, filled_in={"ADDRESS": "oncall@example.com"})
    assert broken.line not in {each.check for each in doctor(cloud)}
    broken.after(cloud)


def test_anomaly_is_two_lines_until_its_order_is_corrected_and_it_is_retried(
    cloud: LocalCloud, shell: OperatorShell
) -> None:
    wait_until_well(cloud)
    pay_too_little(cloud)

    found = doctor(cloud)
    assert lines(found) == {("anomalies", "broken"), ("unsettled", "broken")}
    [listed] = [each.hint for each in found if each.check == "anomalies"]
    assert "stripe-settlement anomalies retry" in shell.run(listed)
    correct_and_retry(cloud)
    wait_until_well(cloud)


def test_privilege_that_was_taken_away_is_seen_until_it_is_granted_as_the_line_says(
    cloud: LocalCloud,
) -> None:
    wait_until_well(cloud)
    as_root(cloud, f"REVOKE UPDATE ON cachao.* FROM {user(cloud)}")

    found = doctor(cloud)
    for line in found:
        assert (line.check, line.state) == ("tables", "broken")
        grant = line.hint.partition(";")[0].replace("that user", user(cloud))
        as_root(cloud, grant)
    assert doctor(cloud) == []
    as_root(cloud, f"GRANT UPDATE ON cachao.* TO {user(cloud)}")
    assert len(found) == 6


def test_policy_of_the_dlq_is_given_back_as_the_runbook_says(
    cloud: LocalCloud, shell: OperatorShell
) -> None:
    wait_until_well(cloud)
    cloud.aws.client("sqs").set_queue_attributes(
        QueueUrl=cloud.addresses.delivery_dlq_url, Attributes={"Policy": ""}
    )

    [line] = doctor(cloud)
    section = "Give the Stripe event DLQ its policy"
    assert line.check == "dlq_policy"
    assert f"'{section}' in the runbook" in line.hint
    shell.run("\n".join(runbook.commands(runbook.place(section))))
    assert doctor(cloud) == []


def test_deleted_alarm_is_seen_until_the_drift_is_reverted(
    cloud: LocalCloud, shell: OperatorShell
) -> None:
    wait_until_well(cloud)
    name = an_alarm(cloud)
    cloud.aws.client("cloudwatch").delete_alarms(AlarmNames=[name])

    [line] = doctor(cloud)
    assert (line.check, line.state) == ("alarms", "broken")
    assert line.hint.startswith(REVERTED)
    shell.run("\n".join(runbook.commands("bring-back-what-was-deleted-or-changed")))
    wait_until_well(cloud)


def test_what_was_deleted_at_stripe_is_seen_until_the_stack_has_made_it_anew() -> None:
    with LocalCloud(timing=TIMING) as cloud:
        client = cloud.stripe_server.client()
        client.v2.core.event_destinations.delete(cloud.stripe.target("eventbridge"))
        client.v1.webhook_endpoints.delete(cloud.stripe.target("webhook"))

        found = [each for each in doctor(cloud) if each.state == "broken"]
        gone = {"stripe_destination", "event_source", "stripe_endpoint"}
        assert {each.check for each in found} - {"alarms"} == gone
        assert all("raise stripe_roll" in each.hint for each in found if each.check in gone)
        cloud.raise_stripe_roll()
        wait_for(
            lambda: not any(each.state == "broken" for each in doctor(cloud)) or None,
            "doctor to find nothing broken",
        )
