"""Each link of the chain is broken in an emulated AWS, and its line alone fails until mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.servers.emulated_aws import ACCOUNT, EmulatedAWS
from stripe_settlement_cli.aws import Clients
from stripe_settlement_cli.cli import main
from tests.cli.conftest import Ended
from tests.cli.stand_in import StandIn
from tests.support.events import any_id

pytestmark = pytest.mark.xdist_group("cli")


class Doctor:
    """The command on a stack, in this process."""

    def __init__(self, stack: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
        self.stack = stack
        self._capfd = capfd

    def run(self, *arguments: str) -> Ended:
        self._capfd.readouterr()
        code = main(["doctor", "--stack", self.stack.name, *arguments])
        return Ended(code, *self._capfd.readouterr())

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.run("--json").out))

    def unwell(self) -> dict[str, dict[str, str]]:
        """The lines that need attention, by the name of the check."""
        checks = self.document()["checks"]
        return {each["check"]: each for each in checks if each["state"] in ("broken", "unknown")}


@pytest.fixture
def stripe(aws: EmulatedAWS) -> Iterator[StripeServer]:
    """A played Stripe whose event sources are in the emulated AWS."""
    with StripeServer(partner_events=EventBridge(aws.client("events"))) as server:
        yield server


@pytest.fixture
def doctor(
    aws: EmulatedAWS,
    tmp_path: Path,
    stripe: StripeServer,
    run: object,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Doctor:
    """The command, on a stack of the test's own that is all well, Stripe's side included."""
    client: Any = stripe.client()
    destination = client.v2.core.event_destinations.create(
        {
            "name": "any",
            "type": "amazon_eventbridge",
            "event_payload": "snapshot",
            "enabled_events": ["checkout.session.completed"],
            "amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": "eu-west-1"},
        }
    )
    bus = f"aws.partner/stripe.com/{destination.id}"
    own_stack = StandIn(aws, tmp_path, name=any_id("stack").replace("_", "-"), bus=bus)
    own_stack.empty()
    address = f"https://{own_stack.ids['Api']}.execute-api.eu-west-1.amazonaws.com/Prod/webhook"
    client.v1.webhook_endpoints.create({"url": address, "enabled_events": ["*"]})
    key = stripe.account.add_key(permissions=["webhook_read"])
    monkeypatch.setenv("STRIPE_API_KEY", key)
    monkeypatch.setenv("STRIPE_API_BASE", stripe.url)
    return Doctor(own_stack, capfd)


def test_a_chain_that_is_whole_is_all_well(doctor: Doctor) -> None:
    ended = doctor.run()

    assert (ended.code, ended.out.splitlines()[-1]) == (0, "All is well."), ended.out
    headline = f"{doctor.stack.name} · {ACCOUNT} · eu-west-1 · LIVE AND TEST"
    assert ended.out.splitlines()[0] == headline


def rule_of(stack: StandIn) -> dict[str, str]:
    return {"Name": stack.rule, "EventBusName": stack.bus}


def disable_rule(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("events").disable_rule(**rule_of(stack))


def enable_rule(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("events").enable_rule(**rule_of(stack))


def put_pattern(aws: EmulatedAWS, stack: StandIn, *, livemode: bool) -> None:
    pattern = {
        "source": [stack.bus],
        "detail-type": ["checkout.session.completed"],
        "detail": {"livemode": [livemode]},
    }
    aws.client("events").put_rule(**rule_of(stack), EventPattern=json.dumps(pattern))


def remove_permission(aws: EmulatedAWS, stack: StandIn, function: str, permission: str) -> None:
    aws.client("lambda").remove_permission(
        FunctionName=stack.ids[function], StatementId=stack.ids[permission]
    )


def reserve(aws: EmulatedAWS, stack: StandIn, function: str) -> None:
    aws.client("lambda").put_function_concurrency(
        FunctionName=stack.ids[function], ReservedConcurrentExecutions=0
    )


def free(aws: EmulatedAWS, stack: StandIn, function: str) -> None:
    aws.client("lambda").delete_function_concurrency(FunctionName=stack.ids[function])


def delete_policy(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("sqs").set_queue_attributes(QueueUrl=stack.ids["Dlq"], Attributes={"Policy": ""})


def delete_method(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("apigateway").delete_method(
        restApiId=stack.ids["Api"], resourceId=stack.ids["Path"], httpMethod="POST"
    )


def delete_stage(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("apigateway").delete_stage(restApiId=stack.ids["Api"], stageName="Prod")


def unsubscribe(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("sns").unsubscribe(SubscriptionArn=stack.ids["Subscription"])


def alarm(aws: EmulatedAWS, stack: StandIn, state: str) -> None:
    aws.client("cloudwatch").set_alarm_state(
        AlarmName=stack.ids["Alarm"], StateValue=state, StateReason="a test"
    )


def silence(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("cloudwatch").disable_alarm_actions(AlarmNames=[stack.ids["Alarm"]])


def unsilence(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("cloudwatch").enable_alarm_actions(AlarmNames=[stack.ids["Alarm"]])


def delete_alarm(aws: EmulatedAWS, stack: StandIn) -> None:
    aws.client("cloudwatch").delete_alarms(AlarmNames=[stack.ids["Alarm"]])


def no_mend(_aws: EmulatedAWS, _stack: StandIn) -> None:
    """The mend is a deployment: tests/e2e/test_drift.py plays it."""


BROKEN: dict[str, tuple[set[str], Any, Any, str]] = {
    "rule disabled": ({"rule"}, disable_rule, enable_rule, "aws events enable-rule --name"),
    "pattern of the other mode": (
        {"pattern"},
        lambda aws, stack: put_pattern(aws, stack, livemode=True),
        lambda aws, stack: put_pattern(aws, stack, livemode=False),
        "--revert-drift",
    ),
    "EventBridge may not invoke": (
        {"event_permission"},
        lambda aws, stack: remove_permission(aws, stack, "EventFunction", "EventPermission"),
        no_mend,
        "--revert-drift",
    ),
    "API Gateway may not invoke": (
        {"webhook_permission"},
        lambda aws, stack: remove_permission(aws, stack, "WebhookFunction", "WebhookPermission"),
        no_mend,
        "--revert-drift",
    ),
    "EventBridge function throttled": (
        {"event_function"},
        lambda aws, stack: reserve(aws, stack, "EventFunction"),
        lambda aws, stack: free(aws, stack, "EventFunction"),
        "delete-function-concurrency",
    ),
    "webhook function throttled": (
        {"webhook_function"},
        lambda aws, stack: reserve(aws, stack, "WebhookFunction"),
        lambda aws, stack: free(aws, stack, "WebhookFunction"),
        "delete-function-concurrency",
    ),
    "DLQ without its policy": ({"dlq_policy"}, delete_policy, no_mend, "set-queue-attributes"),
    "method deleted": ({"api_method"}, delete_method, no_mend, "--revert-drift"),
    "stage deleted": ({"api_stage"}, delete_stage, no_mend, "--revert-drift"),
    "nobody subscribed": ({"subscriptions"}, unsubscribe, no_mend, "aws sns subscribe"),
    "alarm firing": (
        {"alarms"},
        lambda aws, stack: alarm(aws, stack, "ALARM"),
        lambda aws, stack: alarm(aws, stack, "OK"),
        "runbook entry",
    ),
    "alarm deleted": ({"alarms"}, delete_alarm, no_mend, "--revert-drift"),
    "alarm silenced": (
        {"alarm_actions"},
        silence,
        unsilence,
        "aws cloudwatch enable-alarm-actions",
    ),
    "a message waits": (
        {"queues"},
        lambda _aws, stack: stack.failed(),
        lambda _aws, stack: stack.empty(),
        "stripe-settlement redrive",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_the_one_line_that_fails_until_it_is_mended(
    aws: EmulatedAWS, doctor: Doctor, what: str
) -> None:
    names, damage, mend, hint = BROKEN[what]
    damage(aws, doctor.stack)
    unwell = doctor.unwell()

    assert unwell.keys() == names
    assert all(each["state"] == "broken" and hint in each["hint"] for each in unwell.values())
    if mend is not no_mend:
        mend(aws, doctor.stack)
        assert doctor.unwell() == {}


def test_a_source_that_stripe_deleted_is_broken(aws: EmulatedAWS, doctor: Doctor) -> None:
    aws.client("events").delete_partner_event_source(Name=doctor.stack.bus, Account=ACCOUNT)

    unwell = doctor.unwell()
    assert unwell.keys() == {"event_source", "stripe_destination"}
    assert "DELETED" in unwell["event_source"]["text"]
    assert "Create an Amazon EventBridge destination" in unwell["event_source"]["hint"]


def test_a_target_without_its_dlq_is_broken(aws: EmulatedAWS, doctor: Doctor) -> None:
    target = {"Id": "Target0", "Arn": doctor.stack.function_arn()}
    aws.client("events").put_targets(
        Rule=doctor.stack.rule, EventBusName=doctor.stack.bus, Targets=[target]
    )

    assert "has no DLQ" in doctor.unwell()["target"]["text"]


@pytest.mark.parametrize(
    ("function", "check"),
    [("EventFunction", "event_failures"), ("WebhookFunction", "webhook_failures")],
)
def test_a_function_whose_failures_go_nowhere_is_broken(
    aws: EmulatedAWS, doctor: Doctor, function: str, check: str
) -> None:
    aws.client("lambda").delete_function_event_invoke_config(
        FunctionName=doctor.stack.ids[function], Qualifier="$LATEST"
    )

    assert "are lost" in doctor.unwell()[check]["text"]
    assert doctor.unwell().keys() == {check, "deleted"}


def test_a_deleted_function_is_named_on_every_line_that_needs_it(
    aws: EmulatedAWS, doctor: Doctor
) -> None:
    aws.client("lambda").delete_function(FunctionName=doctor.stack.ids["WebhookFunction"])
    unwell = doctor.unwell()

    needing = ("api_method", "webhook_permission", "webhook_function", "webhook_failures")
    assert unwell.keys() == {*needing, "deleted"}
    assert all("is not there" in unwell[each]["text"] for each in needing)


def test_a_subscription_that_is_not_confirmed_is_broken(
    aws: EmulatedAWS, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.client("sns").subscribe(
        TopicArn=doctor.stack.ids["Topic"], Protocol="email", Endpoint="oncall@example.com"
    )
    _confirm_no_mail(monkeypatch)
    unwell = doctor.unwell()

    assert unwell.keys() == {"subscriptions"}
    assert "1 subscription of 2 not confirmed" in unwell["subscriptions"]["text"]
    assert "oncall" not in json.dumps(unwell)


def _confirm_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show mail subscriptions as SNS does until their link is opened; MiniStack opens it itself."""
    make_client = Clients.client

    def pending(parsed: dict[str, Any], **_: object) -> None:
        for each in parsed["Subscriptions"]:
            if each["Protocol"] == "email":
                each["SubscriptionArn"] = "PendingConfirmation"

    def client(clients: Clients, service: str, **config: Any) -> Any:
        made = make_client(clients, service, **config)
        if service == "sns":
            made.meta.events.register("after-call.sns.ListSubscriptionsByTopic", pending)
        return made

    monkeypatch.setattr(Clients, "client", client)


@pytest.mark.parametrize(
    ("permission", "check"),
    [
        ("events:DescribeEventSource", "event_source"),
        ("events:DescribeRule", "rule"),
        ("lambda:GetPolicy", "event_permission"),
        ("lambda:GetFunctionConcurrency", "event_function"),
        ("apigateway:GetResources", "api_method"),
        ("sns:ListSubscriptionsByTopic", "subscriptions"),
        ("cloudwatch:DescribeAlarms", "alarms"),
        ("sqs:GetQueueAttributes", "queues"),
    ],
)
def test_who_may_not_look_sees_a_question_mark_and_what_to_ask_for(
    doctor: Doctor, deny: Callable[[str], None], permission: str, check: str
) -> None:
    deny(permission)
    document = doctor.document()
    line = next(each for each in document["checks"] if each["check"] == check)

    assert (document["exit_code"], line["state"]) == (1, "unknown")
    assert permission in line["hint"]


def test_without_a_key_stripes_lines_are_question_marks(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_API_KEY")

    assert doctor.unwell().keys() == {"stripe_destination", "stripe_endpoint"}
    assert doctor.run().out.count("? Stripe: ") == 2


def test_the_document_is_all_of_stdout_and_names_its_version(doctor: Doctor) -> None:
    document = doctor.document()

    assert document["version"] == 1
    assert (document["command"], document["exit_code"]) == ("doctor", 0)
    assert {"section", "check", "state", "text", "hint"} == document["checks"][0].keys()


def test_the_stack_of_the_environment_is_the_default(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SETTLEMENT_STACK", doctor.stack.name)

    assert main(["doctor"]) == 0
    assert doctor.stack.name in capfd.readouterr().out


def test_of_several_stacks_tagged_as_ours_none_is_chosen(
    doctor: Doctor, stack: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 2
    err = capfd.readouterr().err
    assert f"\n  {doctor.stack.name}\n" in err
    assert f"\n  {stack.name}\n" in err
