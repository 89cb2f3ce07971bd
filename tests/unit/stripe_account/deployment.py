"""One custom resource through the life of its stack, as CloudFormation leads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from local.fake_stripe.partner_events import PartnerEventsInMemory
from tests.support.cloudformation import STACK_ID, CloudFormation
from tests.support.invocations import AnyContext
from tests.support.output import Process

ACCOUNT, REGION = "111122223333", "eu-west-1"
UNSIGNED = json.dumps({"webhook_secret": "random, nobody knows it"})


class _NotFound(ClientError):
    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeEventSource")


@dataclass
class Aws:
    """What the functions see of AWS, in the place of boto3's clients."""

    partner_events: PartnerEventsInMemory
    stack_status: str = "CREATE_IN_PROGRESS"
    signing_secret: str = UNSIGNED
    api_key_secret: dict[str, str] = field(default_factory=dict)
    looks_until_there: int = 0
    """How often an event source is looked for before it is there."""
    refuse_writes: bool = False
    exceptions: ClassVar = SimpleNamespace(ResourceNotFoundException=_NotFound)

    def accepted(self) -> list[str]:
        """Return the signing secrets that the webhook accepts."""
        value: str = json.loads(self.signing_secret)["webhook_secret"]
        return value.split(",")

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        assert SecretId == "arn:signing"
        return {"SecretString": self.signing_secret}

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> None:  # noqa: N803
        assert SecretId == "arn:signing"
        if self.refuse_writes:
            denied: Any = {"Code": "AccessDeniedException", "Message": "not authorized"}
            raise ClientError({"Error": denied}, "PutSecretValue")
        self.signing_secret = SecretString

    def describe_event_source(self, *, Name: str) -> dict[str, str]:  # noqa: N803
        self.looks_until_there -= 1
        if self.looks_until_there >= 0 or Name not in self.partner_events.sources:
            raise _NotFound
        return {"State": self.partner_events.sources[Name].upper()}

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        assert StackName == STACK_ID
        return {"Stacks": [{"StackStatus": self.stack_status}]}


class Deployment:
    """A stack with this resource in it."""

    def __init__(
        self,
        handler: Callable[..., None],
        *,
        cloudformation: CloudFormation,
        aws: Aws,
        process: Process,
        properties: Mapping[str, Any],
    ) -> None:
        self._handler = handler
        self._cloudformation = cloudformation
        self._aws = aws
        self._process = process
        self._requests = count(1)
        self.properties = dict(properties)
        self.physical_id: str | None = None
        self.answers: list[dict[str, Any]] = []
        self.logical_id = "Resource1"

    def deploy(self, *, then_fails: bool = False, **changes: Any) -> dict[str, Any]:
        """Create or update the resource, and clean up or roll back as CloudFormation does.

        Args:
            then_fails: whether another resource of the stack fails afterwards.
            changes: of the template's properties.

        Returns:
            The answer to the creation or the update.
        """
        wanted, before = {**self.properties, **changes}, self.physical_id
        kind = "Update" if before else "Create"
        self._aws.stack_status = f"{kind.upper()}_IN_PROGRESS"
        answer = self.send(kind, before, wanted)
        there = answer["PhysicalResourceId"]
        if answer["Status"] == "FAILED" or then_fails:
            self._roll_back(there, before, wanted)
            return answer
        self.physical_id, self.properties = there, wanted
        if before not in (None, there):
            self._aws.stack_status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
            self.delete(before, wanted)
        return answer

    def destroy(self) -> dict[str, Any]:
        """`cdk destroy`."""
        self._aws.stack_status = "DELETE_IN_PROGRESS"
        return self.delete(self.physical_id, self.properties)

    def delete(self, physical_id: str | None, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Delete what has this id."""
        return self.send("Delete", physical_id, properties)

    def send(
        self,
        kind: str,
        physical_id: str | None,
        properties: Mapping[str, Any],
        *,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Send one request, and return its answer."""
        request = self._cloudformation.request(
            kind,
            RequestId=request_id or f"request-{next(self._requests)}",
            LogicalResourceId=self.logical_id,
            ResourceProperties=properties,
            **({"PhysicalResourceId": physical_id} if physical_id else {}),
        )
        self._process.run(self._handler, request, AnyContext(remaining_seconds=300.0))
        answer = self._cloudformation.answers.pop()
        self.answers.append(answer)
        return answer

    def _roll_back(self, there: str, before: str | None, wanted: Mapping[str, Any]) -> None:
        if before is None:
            self._aws.stack_status = "ROLLBACK_IN_PROGRESS"
            assert self.delete(there, wanted)["Status"] == "SUCCESS"
            return
        self._aws.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
        self.physical_id = self.send("Update", there, self.properties)["PhysicalResourceId"]
        if there != self.physical_id:
            self._aws.stack_status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
            self.delete(there, wanted)
