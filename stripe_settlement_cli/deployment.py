"""What of a stack is ours, found by what is really deployed: no names, no outputs, no template.

A function is ours by its handler. A queue is ours because a function of ours hands its failures to
it, or because a rule that invokes one leaves there what it cannot deliver. So it works in any stack
that uses the construct, whatever else is in that stack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stripe_settlement_cli.aws import Client, error_code, is_denied
from stripe_settlement_cli.queue_consumer import WaitingEvent

HANDLERS: Final = ("eventbridge_handler.handler", "webhook_handler.handler")
"""Of the functions that settle. The migration's function has no events."""


class DeploymentError(Exception):
    """The stack, or something in it, is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that settles."""

    arn: str
    timeout: int
    """Seconds."""

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
        return self.functions.get(event.function_arn) or self.rules.get(event.rule_arn or "")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The failure queues of a stack."""

    queues: tuple[FailureQueue, ...]
    not_looked_at: tuple[str, ...] = ()
    """Functions and rules of the stack that the caller may not look at: not ours, if the caller's
    permissions come from ``grant_redrive``."""

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


class Finder:
    """Looks through one stack."""

    def __init__(self, client: Callable[[str], Client], stack: str) -> None:
        """
        Args:
            client: makes a client of a service.
            stack: its name or ARN.
        """
        self._cloudformation = client("cloudformation")
        self._lambda = client("lambda")
        self._events = client("events")
        self._sqs = client("sqs")
        self._stack = stack
        self._queues: dict[str, FailureQueue] = {}
        self._not_looked_at: list[str] = []

    def find(self) -> Deployment:
        """Find every failure queue of the stack.

        Raises:
            DeploymentError: there is no such stack, or no function in it settles.
            ClientError: AWS refused to list the stack.
        """
        resources = self._resources()
        names = resources.get("AWS::Lambda::Function", [])
        functions = {each.arn: each for each in map(self._function, names) if each is not None}
        if not functions:
            raise DeploymentError(self._nothing_found(resources.get("AWS::CloudFormation::Stack")))
        buses = ["default", *resources.get("AWS::Events::EventBus", [])]
        for rule in resources.get("AWS::Events::Rule", []):
            self._look_at_rule(rule, buses, functions)
        for function in functions.values():
            for arn in self._on_failure_queues(function):
                self._queue(arn).functions[function.arn] = function
        queues = sorted(self._queues.values(), key=lambda queue: queue.name)
        return Deployment(tuple(queues), tuple(self._not_looked_at))

    def _resources(self) -> dict[str, list[str]]:
        """Return the physical ids of what is in the stack, by type."""
        found: dict[str, list[str]] = {}
        pages = self._cloudformation.get_paginator("list_stack_resources")
        try:
            for page in pages.paginate(StackName=self._stack):
                for each in page["StackResourceSummaries"]:
                    gone = each["ResourceStatus"] == "DELETE_COMPLETE"
                    if not gone and (physical_id := each.get("PhysicalResourceId")):
                        found.setdefault(each["ResourceType"], []).append(physical_id)
        except self._cloudformation.exceptions.ClientError as error:
            if error_code(error) != "ValidationError":
                raise
            raise DeploymentError(
                f"There is no stack {self._stack} in this account and region."
            ) from None
        return found

    def _function(self, name: str) -> Function | None:
        try:
            found = self._lambda.get_function_configuration(FunctionName=name)
        except self._lambda.exceptions.ResourceNotFoundException:
            return None  # Somebody deleted it by hand.
        except self._lambda.exceptions.ClientError as error:
            self._skip(name, error)
            return None
        if found.get("Handler") not in HANDLERS:
            return None
        return Function(found["FunctionArn"], found["Timeout"])

    def _on_failure_queues(self, function: Function) -> list[str]:
        pages = self._lambda.get_paginator("list_function_event_invoke_configs")
        configs = [
            config
            for page in pages.paginate(FunctionName=function.arn)
            for config in page["FunctionEventInvokeConfigs"]
        ]
        destinations = (
            config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            for config in configs
        )
        return list(filter(_is_queue, destinations))

    def _look_at_rule(
        self, physical_id: str, buses: Sequence[str], functions: dict[str, Function]
    ) -> None:
        for bus, name in _rule_places(physical_id, buses):
            targets = self._targets(bus, name)
            for target in targets:
                function = functions.get(target["Arn"])
                arn = target.get("DeadLetterConfig", {}).get("Arn")
                if function is not None and _is_queue(arn):
                    queue = self._queue(arn)
                    queue.functions[function.arn] = function
                    queue.rules[_rule_arn(function.arn, bus, name)] = function
            if targets:
                return

    def _targets(self, bus: str, rule: str) -> list[Any]:
        pages = self._events.get_paginator("list_targets_by_rule")
        try:
            answers = list(pages.paginate(Rule=rule, EventBusName=bus))
        except self._events.exceptions.ResourceNotFoundException:
            return []
        except self._events.exceptions.ClientError as error:
            self._skip(rule, error)
            return []
        return [target for answer in answers for target in answer["Targets"]]

    def _queue(self, arn: str) -> FailureQueue:
        if arn not in self._queues:
            account, name = arn.split(":")[4:6]
            answer = self._sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            self._queues[arn] = FailureQueue(arn, answer["QueueUrl"])
        return self._queues[arn]

    def _skip(self, name: str, error: Exception) -> None:
        """Pass over what the caller may not look at: it is not the caller's to redrive."""
        if not is_denied(error):
            raise error
        self._not_looked_at.append(name)

    def _nothing_found(self, nested: list[str] | None) -> str:
        text = f"No function in stack {self._stack} has the handler {' or '.join(HANDLERS)}."
        if self._not_looked_at:
            denied = ", ".join(self._not_looked_at)
            text += f" Not looked at, for lack of lambda:GetFunctionConfiguration: {denied}."
        if nested:
            text += f" It has nested stacks; is it one of these? {', '.join(nested)}"
        return text


def _is_queue(arn: object) -> bool:
    return isinstance(arn, str) and arn.split(":")[2:3] == ["sqs"]


def _rule_places(physical_id: str, buses: Sequence[str]) -> list[tuple[str, str]]:
    """Where the rule may be: CloudFormation's id of it is `bus|rule`, and `rule` on `default`.

    An emulator may leave the bus out, so a rule without one is looked for on the stack's buses.
    """
    bus, found, rule = physical_id.rpartition("|")
    return [(bus, rule)] if found else [(bus, physical_id) for bus in buses]


def _rule_arn(function_arn: str, bus: str, rule: str) -> str:
    """Return a rule's ARN: it invokes functions of its own account and region."""
    _, partition, _, region, account, *_ = function_arn.split(":")
    path = rule if bus == "default" else f"{bus}/{rule}"
    return f"arn:{partition}:events:{region}:{account}:rule/{path}"
