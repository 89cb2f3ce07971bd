"""What of a stack is ours: what its template says there should be, and what is really there.

A function is ours by its handler. A queue is ours because a function of ours sends its failures to
it, or because a rule that invokes one leaves there what it cannot deliver: now, or by the stack's
template, so that the queues of what was deleted or changed by hand are found too. It works in any
stack that uses the construct, whatever else is in that stack.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stripe_settlement_cli.aws import Client, error_code, is_denied
from stripe_settlement_cli.queue_consumer import WaitingEvent

HANDLERS: Final = ("eventbridge_handler.handler", "webhook_handler.handler")
"""Of the functions that settle. The migration's function has no events."""

_FUNCTION: Final = "AWS::Lambda::Function"
_QUEUE: Final = "AWS::SQS::Queue"
_RULE: Final = "AWS::Events::Rule"
_INVOKE_CONFIG: Final = "AWS::Lambda::EventInvokeConfig"
_MAPPING: Final = "AWS::Lambda::EventSourceMapping"


class DeploymentError(Exception):
    """The stack, or something in it, is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that settles."""

    arn: str
    timeout: int
    """Seconds."""
    handler: str = ""
    livemode: str | None = None
    """`true` or `false`, as it is set there; None where it settles both modes."""
    missing: bool = False
    """It is in the stack's template, and was deleted by hand."""

    @property
    def name(self) -> str:
        """As the console shows it."""
        return self.arn.rpartition(":")[2]


@dataclass(slots=True)
class FailureQueue:
    """A queue where events wait, and whose events they are."""

    arn: str
    url: str
    functions: dict[str, Function] = field(default_factory=dict)
    """By ARN: those whose events may wait here."""
    rules: dict[str, Function] = field(default_factory=dict)
    """By the rule's ARN: the function it invokes."""
    consumer: Function | None = None
    """Of the on-sale queue whose DLQ this is."""

    @property
    def name(self) -> str:
        """As the console shows it."""
        return self.arn.rpartition(":")[2]

    @property
    def slowest(self) -> int:
        """Seconds that an invocation may take."""
        return max(function.timeout for function in self.functions.values())

    def function_for(self, event: WaitingEvent) -> Function | None:
        """Return the function an event was meant for; None if it is none of ours.

        An undelivered event is known by its rule too: its function may have been replaced since.
        """
        if not event.function_arn:
            return self.consumer
        return self.functions.get(event.function_arn) or self.rules.get(event.rule_arn or "")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the stack."""

    logical_id: str
    type: str
    physical_id: str
    properties: dict[str, Any]
    """As the template has them; empty where the template cannot be read."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack's resources."""

    name: str
    arn: str
    resources: dict[str, Resource]
    """By logical id."""
    template_read: bool
    """Whether its template could be read; otherwise what was deleted by hand is not known."""

    def of_type(self, resource_type: str) -> list[Resource]:
        """Return the resources of one type."""
        return [each for each in self.resources.values() if each.type == resource_type]

    def referred(self, value: object) -> Resource | None:
        """Return the resource that a value of the template refers to, by `Ref` or `Fn::GetAtt`."""
        if not isinstance(value, dict):
            return None
        logical_id = value.get("Ref") or value.get("Fn::GetAtt")
        if isinstance(logical_id, list):
            logical_id = logical_id[0]
        return self.resources.get(str(logical_id).partition(".")[0])

    def arn_of(self, service: str, name: str) -> str:
        """Return the ARN of something in the stack's account and region."""
        _, partition, _, region, account, *_ = self.arn.split(":")
        return f"arn:{partition}:{service}:{region}:{account}:{name}"


@dataclass(frozen=True, slots=True)
class OnSale:
    """The queue in front of a function, by the template."""

    queue: Resource
    mapping: Resource
    """By which the function consumes it."""

    def not_consumed(self, lambda_: Client) -> str | None:
        """Return the state of the mapping if the function does not consume the queue.

        Raises:
            ClientError, BotoCoreError: AWS did not say.
        """
        try:
            mapping = lambda_.get_event_source_mapping(UUID=self.mapping.physical_id)
        except lambda_.exceptions.ResourceNotFoundException:
            return "not there"
        state = str(mapping["State"])
        return None if state in ("Enabled", "Enabling", "Creating", "Updating") else state

    @property
    def enable(self) -> str:
        """The command that has the function consume it again."""
        return f"aws lambda update-event-source-mapping --uuid {self.mapping.physical_id} --enabled"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The failure queues of a stack."""

    stack: Stack
    queues: tuple[FailureQueue, ...]
    functions: tuple[Function, ...] = ()
    on_sale: tuple[OnSale, ...] = ()
    """One for each function that is in on-sale mode."""
    missing: tuple[str, ...] = ()
    """What of ours was deleted by hand: `function NAME`, `queue NAME`, …"""
    unattributed: tuple[str, ...] = ()
    """URLs of queues of the stack that may be ours: its template could not be read."""
    not_looked_at: tuple[str, ...] = ()
    """Functions and rules of the stack that the caller may not look at: not ours, if the caller's
    permissions come from ``grant_redrive``."""

    @property
    def headline(self) -> str:
        """The first line of every command: `stack · account · region · LIVE|TEST`."""
        account, region = (self.stack.arn.split(":")[each] for each in (4, 3))
        modes = {each.livemode for each in self.functions}
        mode = {"true": "LIVE", "false": "TEST"}.get(str(modes.pop())) if len(modes) == 1 else None
        return f"{self.stack.name} · {account} · {region} · {mode or 'LIVE AND TEST'}"

    def only(self, names: Sequence[str]) -> tuple[FailureQueue, ...]:
        """Return the queues named, each by its name, URL or ARN; all of them without names.

        Raises:
            DeploymentError: a name is none of a failure queue.
        """
        by_name = {name: q for q in self.queues for name in (q.name, q.url, q.arn)}
        if unknown := [name for name in names if name not in by_name]:
            known = "".join(f"\n  {queue.name}" for queue in self.queues)
            raise DeploymentError(f"No failure queue here is {', '.join(unknown)}. Known:{known}")
        chosen = [by_name[name] for name in names] or self.queues
        return tuple({queue.arn: queue for queue in chosen}.values())


def read_stack(client: Callable[[str], Client], name: str) -> Stack:
    """Return what is in a stack.

    Args:
        client: makes a client of a service.
        name: the stack's name or ARN.

    Raises:
        DeploymentError: there is no such stack.
        ClientError: AWS denied to list the stack.
    """
    cloudformation = client("cloudformation")
    try:
        summaries = [
            each
            for page in cloudformation.get_paginator("list_stack_resources").paginate(
                StackName=name
            )
            for each in page["StackResourceSummaries"]
        ]
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        raise DeploymentError(f"There is no stack {name} in this account and region.") from None
    template = _template(cloudformation, name)
    resources = {
        each["LogicalResourceId"]: Resource(
            each["LogicalResourceId"],
            each["ResourceType"],
            each["PhysicalResourceId"],
            template.get(each["LogicalResourceId"], {}).get("Properties", {}),
        )
        for each in summaries
        if each["ResourceStatus"] != "DELETE_COMPLETE" and each.get("PhysicalResourceId")
    }
    return Stack(described["StackName"], described["StackId"], resources, bool(template))


def _template(cloudformation: Client, name: str) -> dict[str, Any]:
    """Return the template's resources by logical id; none if it is YAML or may not be read."""
    try:
        body = cloudformation.get_template(StackName=name)["TemplateBody"]
    except cloudformation.exceptions.ClientError as error:
        if not is_denied(error):
            raise
        return {}
    return dict(body["Resources"]) if isinstance(body, dict) else {}


class Finder:
    """Looks through one stack."""

    def __init__(self, client: Callable[[str], Client], stack: str) -> None:
        """
        Args:
            client: makes a client of a service.
            stack: its name or ARN.
        """
        self._client = client
        self._lambda = client("lambda")
        self._events = client("events")
        self._sqs = client("sqs")
        self._name = stack
        self._functions: dict[str, Function] = {}
        self._queues: dict[str, FailureQueue] = {}
        self._missing: list[str] = []
        self._not_looked_at: list[str] = []
        self._on_sale: list[OnSale] = []

    def find(self) -> Deployment:
        """Find every failure queue of the stack.

        Raises:
            DeploymentError: there is no such stack, or no function in it settles.
            ClientError: AWS denied to list the stack.
        """
        stack = self._stack = read_stack(self._client, self._name)
        found = map(self._function, stack.of_type(_FUNCTION))
        self._functions = {each.arn: each for each in found if each is not None}
        if not self._functions:
            raise DeploymentError(self._nothing_found())
        self._consumers = dict(self._look_at_mappings())
        for rule in stack.of_type(_RULE):
            self._look_at_rule(rule)
        for function in self._functions.values():
            declared = list(self._declared_destinations(function))
            actual = self._destinations(function)
            for arn in {*declared, *actual}:
                self._add_queue(arn, function)
            if not function.missing and set(declared) - set(actual):
                self._missing.append(f"on-failure destination of {function.name}")
        queues = sorted(self._queues.values(), key=lambda queue: queue.name)
        ours = {queue.name for queue in queues}
        unattributed = [
            each.physical_id
            for each in stack.of_type(_QUEUE)
            if not stack.template_read and _queue_name(each) not in ours
        ]
        return Deployment(
            stack,
            tuple(queues),
            tuple(self._functions.values()),
            tuple(self._on_sale),
            missing=tuple(self._missing),
            unattributed=tuple(unattributed),
            not_looked_at=tuple(self._not_looked_at),
        )

    def _function(self, resource: Resource) -> Function | None:
        name, declared = resource.physical_id, resource.properties
        ours = declared.get("Handler") in HANDLERS
        try:
            found = self._lambda.get_function_configuration(FunctionName=name)
        except self._lambda.exceptions.ResourceNotFoundException:
            if self._stack.template_read and not ours:
                return None
            self._missing.append(f"function {name}")
            arn = self._stack.arn_of("lambda", f"function:{name}")
            timeout, handler = int(declared.get("Timeout", 0)), str(declared.get("Handler"))
            return (
                Function(arn, timeout, handler, _livemode(declared), missing=True) if ours else None
            )
        except self._lambda.exceptions.ClientError as error:
            self._skip(name, error)
            return None
        if not ours and found.get("Handler") not in HANDLERS:
            return None
        handler = str(declared.get("Handler", found.get("Handler")))
        return Function(found["FunctionArn"], found["Timeout"], handler, _livemode(found))

    def _destinations(self, function: Function) -> list[str]:
        """Return the ARNs of the queues to which a function sends its failures now."""
        if function.missing:
            return []
        pages = self._lambda.get_paginator("list_function_event_invoke_configs")
        return [
            destination
            for page in pages.paginate(FunctionName=function.arn)
            for config in page["FunctionEventInvokeConfigs"]
            if _is_queue(
                destination := config.get("DestinationConfig", {})
                .get("OnFailure", {})
                .get("Destination")
            )
        ]

    def _declared_destinations(self, function: Function) -> Iterator[str]:
        """Yield the ARNs of the queues to which the template has it send its failures."""
        for config in self._stack.of_type(_INVOKE_CONFIG):
            owner = self._stack.referred(config.properties.get("FunctionName"))
            destinations = config.properties.get("DestinationConfig", {})
            queue = self._stack.referred(destinations.get("OnFailure", {}).get("Destination"))
            if owner and owner.physical_id == function.name and queue and queue.type == _QUEUE:
                yield self._stack.arn_of("sqs", _queue_name(queue))

    def _look_at_mappings(self) -> Iterator[tuple[str, Function]]:
        """Yield the on-sale queues that the template has, by ARN, and note the DLQ of each."""
        for mapping in self._stack.of_type(_MAPPING):
            consumer = self._stack.referred(mapping.properties.get("FunctionName"))
            queue = self._stack.referred(mapping.properties.get("EventSourceArn"))
            for function in self._functions.values():
                if queue and consumer and consumer.physical_id == function.name:
                    self._on_sale.append(OnSale(queue, mapping))
                    dlq = self._stack.referred(
                        queue.properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
                    )
                    if dlq:
                        arn = self._stack.arn_of("sqs", _queue_name(dlq))
                        self._add_queue(arn, function)
                        if arn in self._queues:
                            self._queues[arn].consumer = function
                    yield self._stack.arn_of("sqs", _queue_name(queue)), function

    def _look_at_rule(self, rule: Resource) -> None:
        declared = set(self._declared_targets(rule))
        actual = set()
        for bus, name in self._places(rule):
            targets = {
                (function, target.get("DeadLetterConfig", {}).get("Arn"))
                for target in self._targets(bus, name)
                if (
                    function := self._functions.get(target["Arn"])
                    or self._consumers.get(target["Arn"])
                )
            }
            for function, queue_arn in declared | targets:
                self._add_queue(queue_arn, function, rule_arn=self._rule_arn(bus, name))
            actual |= targets
        if declared - actual and name not in self._not_looked_at:
            self._missing.append(f"rule {name} with its target and DLQ")

    def _places(self, rule: Resource) -> list[tuple[str, str]]:
        """Return where a rule may be: CloudFormation's id is `bus|rule`, and `rule` on `default`.

        An emulator may leave the bus out: then it is the template's, or any of the stack.
        """
        bus, found, name = rule.physical_id.rpartition("|")
        if found:
            return [(bus, name)]
        declared = self._stack.referred(rule.properties.get("EventBusName"))
        if declared:
            return [(declared.physical_id, name)]
        if self._stack.template_read:
            return [(rule.properties.get("EventBusName", "default"), name)]
        buses = [each.physical_id for each in self._stack.of_type("AWS::Events::EventBus")]
        return [(each, name) for each in ("default", *buses)]

    def _declared_targets(self, rule: Resource) -> Iterator[tuple[Function, str | None]]:
        """Yield the functions that the template has a rule invoke, each with its DLQ's ARN."""
        for target in rule.properties.get("Targets", ()):
            invoked = self._stack.referred(target.get("Arn"))
            dlq = self._stack.referred(target.get("DeadLetterConfig", {}).get("Arn"))
            if invoked and invoked.type == _QUEUE:
                receiver = self._consumers.get(self._stack.arn_of("sqs", _queue_name(invoked)))
            else:
                receiver = None
            for function in self._functions.values():
                if invoked and (invoked.physical_id == function.name or function is receiver):
                    yield function, self._stack.arn_of("sqs", _queue_name(dlq)) if dlq else None

    def _targets(self, bus: str, rule: str) -> list[Any]:
        """Return a rule's targets; none if it is not on this bus."""
        pages = self._events.get_paginator("list_targets_by_rule")
        try:
            responses = list(pages.paginate(Rule=rule, EventBusName=bus))
        except self._events.exceptions.ResourceNotFoundException:
            return []
        except self._events.exceptions.ClientError as error:
            self._skip(rule, error)
            return []
        return [target for response in responses for target in response["Targets"]]

    def _add_queue(self, arn: str | None, function: Function, *, rule_arn: str = "") -> None:
        """Add a queue in which a function's events may wait, unless it was deleted."""
        if not _is_queue(arn):
            return
        arn = str(arn)
        if arn not in self._queues:
            account, name = arn.split(":")[4:6]
            try:
                url = self._sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            except self._sqs.exceptions.QueueDoesNotExist:
                if f"queue {name}" not in self._missing:
                    self._missing.append(f"queue {name}")
                return
            self._queues[arn] = FailureQueue(arn, url["QueueUrl"])
        self._queues[arn].functions[function.arn] = function
        if rule_arn:
            self._queues[arn].rules[rule_arn] = function

    def _rule_arn(self, bus: str, rule: str) -> str:
        path = rule if bus == "default" else f"{bus}/{rule}"
        return self._stack.arn_of("events", f"rule/{path}")

    def _skip(self, name: str, error: Exception) -> None:
        """Pass over what the caller may not look at: it is not the caller's to redrive."""
        if not is_denied(error):
            raise error
        self._not_looked_at.append(name)

    def _nothing_found(self) -> str:
        text = f"No function in stack {self._name} has the handler {' or '.join(HANDLERS)}."
        if self._not_looked_at:
            denied = ", ".join(self._not_looked_at)
            text += f" Not looked at, for lack of lambda:GetFunctionConfiguration: {denied}."
        if nested := self._stack.of_type("AWS::CloudFormation::Stack"):
            names = ", ".join(each.physical_id for each in nested)
            text += f" It has nested stacks; is it one of these? {names}"
        return text


def _livemode(function: dict[str, Any]) -> str | None:
    """Return the mode in a function's environment, of its template or of its configuration."""
    value = function.get("Environment", {}).get("Variables", {}).get("STRIPE_LIVEMODE")
    return value if isinstance(value, str) else None


def _is_queue(arn: object) -> bool:
    return isinstance(arn, str) and arn.split(":")[2:3] == ["sqs"]


def _queue_name(queue: Resource) -> str:
    """Return a queue's name: CloudFormation's id of it is its URL."""
    return queue.physical_id.rpartition("/")[2]
