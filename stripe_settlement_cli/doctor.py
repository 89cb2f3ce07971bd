"""The command `doctor`: the chain from Stripe to the database, link by link. It changes nothing.

Every line is one function, `check(look) -> Finding`: a state, what is, and how it is mended.
"""

import json
import re
from argparse import Namespace
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Client, error_code, is_denied
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.database import database_lines
from stripe_settlement_cli.deployment import Deployment, DeploymentError, Function, OnSale, Resource
from stripe_settlement_cli.failure_reasons import COMES_BACK, printable
from stripe_settlement_cli.finding import Finding, State
from stripe_settlement_cli.operations import (
    MIGRATION,
    OperationsError,
    function_name,
    has_operations,
    invoke,
)
from stripe_settlement_cli.queue_consumer import QueueConsumer
from stripe_settlement_cli.report import console, counted, say
from stripe_settlement_cli.stripe_side import (
    THIN,
    Expected,
    StripeSide,
    find_api_key,
    find_signing_secret,
    probe,
    settles_thin_events,
)


def _well(text: str) -> Finding:
    return Finding(State.WELL, text)


def _broken(text: str, hint: str = COMES_BACK) -> Finding:
    return Finding(State.BROKEN, text, hint)


class Look:
    """What the checks look through: the stack, and AWS with the caller's rights."""

    def __init__(self, deployment: Deployment, client: Callable[[str], Client]) -> None:
        """
        Args:
            deployment: what of the stack is ours.
            client: makes a client of a service.
        """
        self.deployment: Final = deployment
        self.stack: Final = deployment.stack
        self._client = client
        self.service = ""
        """Of the last client: a denied call's permission begins with it."""

    def client(self, service: str) -> Client:
        """Return a client of one service."""
        self.service = service
        return self._client(service)

    @cached_property
    def configurations(self) -> list[dict[str, Any]]:
        """Of the stack's functions that the caller may look at."""
        client = self.client("lambda")
        found = []
        for each in self.stack.of_type("AWS::Lambda::Function"):
            try:
                found.append(client.get_function_configuration(FunctionName=each.physical_id))
            except client.exceptions.ClientError as error:
                if not is_denied(error) and error_code(error) != "ResourceNotFoundException":
                    raise
        return found

    @cached_property
    def stripe(self) -> StripeSide:
        """Stripe's side."""
        key, base = find_api_key(self.configurations, lambda: self.client("secretsmanager")) or (
            None,
            None,
        )
        modes = {each.livemode for each in self.deployment.functions}
        mode = {"true": True, "false": False}.get(str(modes.pop())) if len(modes) == 1 else None
        return StripeSide(
            key,
            base,
            Expected(
                livemode=mode,
                event_source=self.rule_place["EventBusName"],
                event_types=tuple(
                    name
                    for name in self.rule.properties["EventPattern"].get("detail-type", ())
                    if not name.startswith(THIN)
                ),
                thin_events=settles_thin_events(self.configurations),
                endpoint=self.api_address if self.function("webhook_handler") else None,
            ),
        )

    @property
    def api(self) -> str:
        """The id of the webhook's API.

        Raises:
            LookupError: it is another stack's.
        """
        apis = self.stack.of_type("AWS::ApiGateway::RestApi")
        if not apis:
            raise LookupError("the API is another stack's")
        return apis[0].physical_id

    @property
    def api_address(self) -> str:
        """How the webhook's address begins: whatever the domain is called in AWS's partition."""
        region = self.stack.arn.split(":")[3]
        return f"https://{self.api}.execute-api.{region}."

    def function(self, handler: str) -> Function | None:
        """Return the function of a route by the module of its handler; None without the route."""
        found = (each for each in self.deployment.functions if each.handler.startswith(handler))
        return next(found, None)

    @property
    def on_sale(self) -> OnSale | None:
        """The queue in front of the function; None without."""
        return next(iter(self.deployment.on_sale), None)

    @property
    def sends_to(self) -> Resource | None:
        """What the rule delivers to by the template: the function, or the on-sale queue."""
        targets = self.rule.properties["Targets"]
        return next(filter(None, (self.stack.referred(each.get("Arn")) for each in targets)), None)

    @property
    def queued(self) -> Resource | None:
        """The on-sale queue, while the rule delivers to it; None while it delivers past it."""
        on_sale = self.on_sale
        return on_sale.queue if on_sale and self.sends_to == on_sale.queue else None

    @cached_property
    def _ours(self) -> set[str]:
        return {each.name for each in self.deployment.functions}

    @property
    def rule(self) -> Resource:
        """The rule that delivers to a function of ours, or its queue, by the stack's template.

        Raises:
            LookupError: the template has none, or cannot be read.
        """
        on_sale = self.on_sale
        ours = self._ours | ({on_sale.queue.physical_id} if on_sale else set())
        for rule in self.stack.of_type("AWS::Events::Rule"):
            for target in rule.properties.get("Targets", ()):
                invoked = self.stack.referred(target.get("Arn"))
                if invoked and invoked.physical_id in ours:
                    return rule
        raise LookupError("the stack's template has no rule of ours")

    @property
    def rule_place(self) -> dict[str, str]:
        """The rule's name and its bus."""
        rule = self.rule
        bus, _, name = rule.physical_id.rpartition("|")
        if not bus:
            declared = rule.properties.get("EventBusName", "default")
            referred = self.stack.referred(declared)
            bus = referred.physical_id if referred else str(declared)
        return {"Name": name, "EventBusName": bus}


def stripe_destination(look: Look) -> Finding:
    """Check Stripe's event destination."""
    return look.stripe.destination()


def stripe_endpoint(look: Look) -> Finding:
    """Check Stripe's webhook endpoint."""
    return look.stripe.endpoint()


def event_source(look: Look) -> Finding:
    """Check that Stripe's partner event source is associated with the bus."""
    bus = look.rule_place["EventBusName"]
    if not bus.startswith("aws.partner/"):
        text = (
            f"the rule is on the bus {bus}, which takes only what a forwarder of yours puts there"
        )
        return Finding(State.ADVICE, text, "docs/deploying.md: an Amazon EventBridge destination")
    client = look.client("events")
    try:
        state = client.describe_event_source(Name=bus)["State"]
    except client.exceptions.ResourceNotFoundException:
        state = "not there"
    if state == "ACTIVE":
        return _well("event source ACTIVE on its bus")
    if state == "PENDING":
        return _broken("event source is PENDING: its bus is not there")
    return _broken(
        f"event source is {state}: its destination at Stripe was deleted",
        "Create an Amazon EventBridge destination in Stripe and deploy with its event source. "
        "Where the stack has created it, raise stripe_roll in cdk.json and deploy instead.",
    )


def rule(look: Look) -> Finding:
    """Check that the rule is there and enabled."""
    place = look.rule_place
    found = look.client("events").describe_rule(**place)
    if found["State"] == "ENABLED":
        return _well("rule ENABLED")
    return _broken(
        f"rule {place['Name']} is {found['State']}: no event reaches the function",
        f"aws events enable-rule --name {place['Name']} --event-bus-name {place['EventBusName']}",
    )


def pattern(look: Look) -> Finding:
    """Check that the rule's pattern takes the mode and the types that the function settles."""
    found = json.loads(look.client("events").describe_rule(**look.rule_place)["EventPattern"])
    declared = look.rule.properties["EventPattern"]
    different = [key for key in ("detail", "detail-type") if found.get(key) != declared.get(key)]
    if different:
        return _broken(f"rule's pattern is not the template's: {', '.join(different)} differ")
    return _well(f"pattern for {counted(len(declared['detail-type']), 'type')} of one mode")


def target(look: Look) -> Finding:
    """Check that the rule delivers to the function alone, or its queue, and has a DLQ."""
    function, queue = look.function("eventbridge_handler"), look.queued
    arn, noun = function.arn if function else "", "function"
    if queue is not None:
        arn, noun = look.stack.arn_of("sqs", _queue_name(queue)), "on-sale queue"
    place = look.rule_place
    targets = look.client("events").list_targets_by_rule(
        Rule=place["Name"], EventBusName=place["EventBusName"]
    )["Targets"]
    if [each["Arn"] for each in targets] != [arn]:
        return _broken(f"rule does not deliver to the {noun}, or not to it alone")
    if not targets[0].get("DeadLetterConfig", {}).get("Arn"):
        return _broken("rule's target has no DLQ: what cannot be delivered is lost")
    return _well(f"one target, the {noun}, with a DLQ")


def event_permission(look: Look) -> Finding:
    """Check that EventBridge may invoke the function, or send to its queue."""
    if (queue := look.queued) is not None:
        return _takes_events(look, queue.physical_id, _queue_name(queue))
    return _permission(look, "eventbridge_handler", "events", "EventBridge", _rule_name(look))


def _rule_name(look: Look) -> str:
    return "/" + look.rule_place["Name"]


def webhook_permission(look: Look) -> Finding:
    """Check that API Gateway may invoke the function."""
    return _permission(look, "webhook_handler", "apigateway", "API Gateway")


def _source(statement: dict[str, Any]) -> str:
    """Return the ARN that a permission's condition names; '' without one."""
    condition = statement.get("Condition", {})
    return str(condition.get("ArnLike", condition.get("ArnEquals", {})).get("AWS:SourceArn", ""))


def _permission(look: Look, handler: str, principal: str, who: str, source: str = "") -> Finding:
    function = _existing(look, handler)
    client = look.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function.arn)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        policy = {"Statement": []}
    allowed = any(
        each["Effect"] == "Allow"
        and each.get("Principal", {}).get("Service") == f"{principal}.amazonaws.com"
        and _source(each).endswith(source)
        for each in policy["Statement"]
    )
    return (
        _well(f"{who} may invoke {function.name}")
        if allowed
        else _broken(f"{who} may not invoke {function.name}")
    )


def event_function(look: Look) -> Finding:
    """Check that the EventBridge function can run."""
    return _runs(look, "eventbridge_handler")


def webhook_function(look: Look) -> Finding:
    """Check that the webhook's function can run."""
    return _runs(look, "webhook_handler")


def _runs(look: Look, handler: str) -> Finding:
    function = _existing(look, handler)
    client = look.client("lambda")
    state = client.get_function_configuration(FunctionName=function.arn).get("State", "Active")
    if state not in ("Active", "Inactive"):  # Inactive: idle, and awake at the next invocation.
        return _broken(f"function {function.name} is {state}", "Its StateReason says why.")
    reserved = client.get_function_concurrency(FunctionName=function.arn)
    if reserved.get("ReservedConcurrentExecutions") == 0:
        return _broken(
            f"function {function.name} is throttled to 0: it never runs",
            f"aws lambda delete-function-concurrency --function-name {function.name}; then deploy "
            "with --revert-drift, which sets what the settings say. Where they say 0, settling is "
            "paused on purpose: deploy with another value, then redrive",
        )
    return _well(f"function {function.name} can run")


def event_failures(look: Look) -> Finding:
    """Check where the EventBridge function's failures go."""
    return _failures(look, "eventbridge_handler")


def webhook_failures(look: Look) -> Finding:
    """Check where the webhook function's failures go."""
    return _failures(look, "webhook_handler")


def _failures(look: Look, handler: str) -> Finding:
    function = _existing(look, handler)
    pages = look.client("lambda").get_paginator("list_function_event_invoke_configs")
    configs = [
        each
        for page in pages.paginate(FunctionName=function.arn)
        for each in page["FunctionEventInvokeConfigs"]
    ]
    destinations = (each.get("DestinationConfig", {}).get("OnFailure", {}) for each in configs)
    arn = next((each["Destination"] for each in destinations if each.get("Destination")), "")
    if not arn:
        return _broken(f"failures of {function.name} are lost: it has no on-failure destination")
    name = arn.rpartition(":")[2]
    if name not in {queue.name for queue in look.deployment.queues}:
        return _broken(f"failures of {function.name} go to {name}, which is not there")
    return _well(f"failures of {function.name} go to {name}")


def dlq_policy(look: Look) -> Finding:
    """Check that EventBridge may send to the rule's DLQ."""
    queues = [queue for queue in look.deployment.queues if queue.rules]
    if not queues:
        return _broken("rule's DLQ is not there: what cannot be delivered is lost")
    found = [_takes_events(look, queue.url, queue.name) for queue in queues]
    return next((each for each in found if each.state is State.BROKEN), found[0])


def _takes_events(look: Look, url: str, name: str) -> Finding:
    attributes = look.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    policy = json.loads(attributes.get("Attributes", {}).get("Policy") or "{}")
    if any(
        each["Effect"] == "Allow" and "events.amazonaws.com" in json.dumps(each["Principal"])
        for each in policy.get("Statement", ())
    ):
        return _well(f"EventBridge may send to {name}")
    return _broken(
        f"EventBridge may not send to {name}: what it sends there is lost",
        "Give the queue the policy of the template, by `aws sqs set-queue-attributes`: see "
        "'Give the Stripe event DLQ its policy' in the runbook. A deployment does not compare it.",
    )


def on_sale_mapping(look: Look) -> Finding | None:
    """Check that the function consumes the on-sale queue."""
    on_sale = look.on_sale
    if on_sale is None:
        return None
    state = on_sale.not_consumed(look.client("lambda"))
    if state is None:
        return _well("on-sale queue is consumed by the function")
    text = f"on-sale queue is not consumed: its mapping is {state}"
    return _broken(text) if state == "not there" else _broken(text, on_sale.enable)


def on_sale_queue(look: Look) -> Finding | None:
    """Say what waits to be settled: at an on-sale that is as it should be."""
    if look.on_sale is None:
        return None
    queue = look.on_sale.queue
    counts = QueueConsumer(look.client("sqs"), queue.physical_id, visibility_timeout=0).counts()
    where = "" if look.queued else "; the rule delivers past it"
    text = f"on-sale queue: {counted(counts.visible)}, {counts.hidden} in flight{where}"
    return _well(text)


def _queue_name(queue: Resource) -> str:
    return queue.physical_id.rpartition("/")[2]


def api_method(look: Look) -> Finding:
    """Check that the API has the method that invokes the webhook's function."""
    function = _existing(look, "webhook_handler")
    api = look.api
    client = look.client("apigateway")
    pages = client.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
    for resource in (each for page in pages for each in page["items"]):
        if "POST" in resource.get("resourceMethods", {}):
            integration = client.get_integration(
                restApiId=api, resourceId=resource["id"], httpMethod="POST"
            )
            if f":function:{function.name}/" in integration.get("uri", ""):
                return _well(f"POST {resource['path']} invokes {function.name}")
    return _broken(f"no POST method of the API invokes {function.name}")


def api_stage(look: Look) -> Finding:
    """Check that the API's stage is there."""
    api = look.api
    for stage in look.stack.of_type("AWS::ApiGateway::Stage"):
        client = look.client("apigateway")
        try:
            client.get_stage(restApiId=api, stageName=stage.physical_id)
        except client.exceptions.NotFoundException:
            return _broken(f"API's stage {stage.physical_id} is not there: Stripe gets 403")
    return _well("API's stage is deployed")


def subscriptions(look: Look) -> Finding:
    """Check that the alarms' topic has subscribers, all of them confirmed."""
    topics = look.stack.of_type("AWS::SNS::Topic")
    if not topics:
        raise LookupError("the alarms' topic is another stack's")
    pages = look.client("sns").get_paginator("list_subscriptions_by_topic")
    found = [
        each["SubscriptionArn"]
        for topic in topics
        for page in pages.paginate(TopicArn=topic.physical_id)
        for each in page["Subscriptions"]
    ]
    if not found:
        return _broken(
            "nobody is notified: the alarms' topic has no subscription",
            f"aws sns subscribe --topic-arn {topics[0].physical_id} --protocol email "
            "--notification-endpoint ADDRESS",
        )
    if pending := sum(not each.startswith("arn:") for each in found):
        return _broken(
            f"{counted(pending, 'subscription')} of {len(found)} not confirmed",
            "Open the link in AWS's mail 'Subscription Confirmation'; subscribe again if it is "
            "older than three days.",
        )
    return _well(f"{counted(len(found), 'subscription')}, confirmed")


def alarms(look: Look) -> Finding:
    """Check that every alarm of the stack is there and none is in ALARM."""
    names = {each.physical_id for each in look.stack.of_type("AWS::CloudWatch::Alarm")}
    found = _alarms(look)
    if gone := names - {each["AlarmName"] for each in found}:
        return _broken(f"alarms that were deleted: {', '.join(sorted(gone))}")
    firing = sorted(each["AlarmName"] for each in found if each["StateValue"] == "ALARM")
    if firing:
        return _broken(
            f"{counted(len(firing), 'alarm')} in ALARM: {', '.join(firing)}",
            "Each alarm's description links to its runbook entry.",
        )
    return _well(f"{counted(len(found), 'alarm')}, 0 in ALARM")


def alarm_actions(look: Look) -> Finding:
    """Check that every alarm is published."""
    silent = sorted(
        each["AlarmName"]
        for each in _alarms(look)
        if not each["ActionsEnabled"] or not each["AlarmActions"]
    )
    if silent:
        return _broken(
            f"alarms that are published nowhere: {', '.join(silent)}",
            f"aws cloudwatch enable-alarm-actions --alarm-names {' '.join(silent)}",
        )
    return _well("every alarm is published")


def _alarms(look: Look) -> list[dict[str, Any]]:
    names = [each.physical_id for each in look.stack.of_type("AWS::CloudWatch::Alarm")]
    client = look.client("cloudwatch")
    return [
        alarm
        for start in range(0, len(names), 100)
        for alarm in client.describe_alarms(AlarmNames=names[start : start + 100])["MetricAlarms"]
    ]


def queues(look: Look) -> Finding:
    """Check that nothing waits in the failure queues."""
    sqs = look.client("sqs")
    waiting = {
        queue.name: QueueConsumer(sqs, queue.url, visibility_timeout=0).counts()
        for queue in look.deployment.queues
    }
    visible = sum(each.visible for each in waiting.values())
    hidden = sum(each.hidden for each in waiting.values())
    where = ", ".join(name for name, each in waiting.items() if each.visible or each.hidden)
    text = f"{counted(visible)} in {counted(len(waiting), 'queue')}, {hidden} in flight"
    if visible or hidden:
        stack = look.stack.name
        return _broken(f"{text}: {where}", f"stripe-settlement redrive --stack {stack}")
    return _well(text)


def deleted(look: Look) -> Finding:
    """Check that nothing of ours was deleted by hand."""
    if look.deployment.missing:
        return _broken(f"deleted or changed by hand: {', '.join(look.deployment.missing)}")
    if not look.stack.template_read:
        raise LookupError("the stack's template cannot be read: cloudformation:GetTemplate")
    return _well("functions, rule and queues are those of the template")


def _existing(look: Look, handler: str) -> Function:
    function = look.function(handler)
    if function is None:
        raise LookupError("the function may not be looked at")
    if function.missing:
        raise _MissingFunctionError(function.name)
    return function


class _MissingFunctionError(Exception):
    """The function was deleted by hand; it says its name."""


Check = Callable[[Look], Finding | None]
"""None: the stack has no such thing."""

SECTIONS: Final[dict[str, tuple[Check, ...]]] = {
    "Stripe → EventBridge → settlement": (
        stripe_destination,
        event_source,
        rule,
        pattern,
        target,
        event_permission,
        event_function,
        event_failures,
        dlq_policy,
        on_sale_mapping,
    ),
    "Stripe → webhook → settlement": (
        stripe_endpoint,
        api_method,
        api_stage,
        webhook_permission,
        webhook_function,
        webhook_failures,
    ),
    "Who is notified": (subscriptions, alarms, alarm_actions),
    "What waits": (queues, on_sale_queue, deleted),
}
"""Every check, in the order in which they are printed."""

_WEBHOOK: Final = "Stripe → webhook → settlement"
_DATABASE: Final = "Database"

NOT_CHECKED: Final = Finding(
    State.ADVICE,
    "the database is not looked at: this stack has no function that could",
    "docs/runbook.md, Database",
)


def database(context: Context) -> list[tuple[str, Finding]]:
    """Return the lines about the database, each with its check's name.

    Only the stack's own function reaches the database.
    """
    stack = context.deployment.stack
    if not has_operations(stack):
        return [("database", NOT_CHECKED)]
    try:
        migration = function_name(stack, MIGRATION)
        return database_lines(partial(invoke, stack, context.clients), stack.name, migration)
    except OperationsError as error:
        finding = Finding(State.UNKNOWN, f"the database was not looked at: {error}")
    except (KeyError, TypeError, ValueError):
        text = "the database was not looked at: the response is of another version"
        finding = Finding(State.UNKNOWN, text, "Install the version that is deployed.")
    return [("database", finding)]


def examine(check: Check, look: Look, name: str = "") -> Finding | None:
    """Return what a check finds; what it may not look at is unknown, with what to ask for."""
    name = name or getattr(check, "__name__", "").replace("_", " ")
    try:
        return check(look)
    except _MissingFunctionError as error:
        return _broken(f"{name}: function {error} is not there")
    except LookupError as error:
        return Finding(State.UNKNOWN, f"{name}: {str(error).strip(chr(39))}")
    except AWS_ERRORS as error:
        if is_denied(error):
            operation = getattr(error, "operation_name", "")
            ask = f"Ask for the permission {look.service}:{operation}."
            return Finding(State.UNKNOWN, f"{name}: you may not look", ask)
        if re.search(r"NotFound|NonExistent", type(error).__name__):
            return _broken(f"{name}: it is not there")
        return Finding(State.UNKNOWN, f"{name}: {printable(str(error))}", "Run this again.")


def doctor(asked: Namespace) -> int:
    """Examine the whole chain, print a line for each link, return the exit code.

    Args:
        asked: what the command line says.
    """
    try:
        context = Context(asked)
    except (DeploymentError, *AWS_ERRORS) as error:
        say(console(stderr=True), str(error), "red")
        return ExitCode.NOT_BEGUN
    look = Look(context.deployment, context.clients.client)
    has_webhook = look.function("webhook_handler") is not None
    findings: list[tuple[str, str, Finding]] = []

    def add(section: str, name: str, finding: Finding | None) -> None:
        if finding is not None:
            findings.append((section, name, finding))
            _print(context, finding)

    for section, checks in SECTIONS.items():
        if section == _WEBHOOK and not has_webhook:
            continue
        say(context.out, section, "bold")
        for check in checks:
            add(section, check.__name__, examine(check, look))
    if asked.probe is not None:
        add(_WEBHOOK, "probe", examine(partial(_probe, url=asked.probe), look, "probe"))
    say(context.out, _DATABASE, "bold")
    for name, finding in database(context):
        add(_DATABASE, name, finding)
    bad = sum(each.state in (State.BROKEN, State.UNKNOWN) for _, _, each in findings)
    verb = "needs" if bad == 1 else "need"
    verdict = f"{bad} of {len(findings)} {verb} attention." if bad else "All is well."
    say(context.out, verdict, "bold")
    code = ExitCode.REMAINS if bad else ExitCode.DONE
    checks_found = [
        {
            "section": section,
            "check": name,
            "state": each.state.name.lower(),
            "text": each.text,
            "hint": each.hint,
        }
        for section, name, each in findings
    ]
    context.print_document("doctor", code, checks=checks_found)
    return code


def _probe(look: Look, url: str) -> Finding:
    """Post to the webhook; by default to where the stack's output says that it is."""
    if not url:
        outputs = look.client("cloudformation").describe_stacks(StackName=look.stack.arn)
        url = next(
            (
                each["OutputValue"]
                for each in outputs["Stacks"][0].get("Outputs", ())
                if each["OutputValue"].startswith(look.api_address)
            ),
            "",
        )
    if not url:
        raise LookupError("the stack has no output with the webhook's address; --probe URL")
    return probe(
        url, find_signing_secret(look.configurations, lambda: look.client("secretsmanager"))
    )


def _print(context: Context, finding: Finding) -> None:
    style = {State.BROKEN: "red", State.UNKNOWN: "yellow"}.get(finding.state, "")
    say(context.out, f"{finding.state} {finding.text}", style)
    if finding.hint and finding.state is not State.WELL:
        say(context.out, f"    {finding.hint}")
