"""CloudFormation's side: a request comes in, and exactly one answer goes out, whatever happens.

The rules are those of "Custom resource request objects" and "Custom resource response objects"
(CloudFormation User Guide). A request that nobody answers holds the stack up until its timeout.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from settlement.adapters.stripe_api import describe
from settlement.adapters.telemetry import Telemetry
from settlement.domain.clock import Deadline
from settlement.errors import SettlementError, UnexpectedFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from settlement.domain.clock import LambdaContext

NOT_CREATED: Final = "not-created"
"""Physical id of what was refused before Stripe was asked for it: there is nothing to delete."""

UNKNOWN: Final = "unknown"
"""Physical id of what may exist at Stripe all the same; it is found there by its owner."""

ANSWER_RESERVE_SECONDS: Final = 15.0
"""Kept back of the invocation's time to tell CloudFormation that it was not enough."""

ANSWER_TIMEOUT_SECONDS: Final = 5.0
ANSWER_ATTEMPTS: Final = 3
_LONGEST_REASON: Final = 1000
"""Characters. CloudFormation refuses an answer of more than 4 KB."""


@dataclass(frozen=True, slots=True)
class Request:
    """What CloudFormation asks for."""

    kind: str
    """`Create`, `Update` or `Delete`."""
    id: str
    """Unique to this request; the same when Lambda delivers it a second time."""
    stack_id: str
    logical_id: str
    physical_id: str
    """Empty in a creation."""
    properties: Mapping[str, Any]
    """What the template says. CloudFormation makes a text of every number and flag."""

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """Read CloudFormation's event."""
        return cls(
            kind=event["RequestType"],
            id=event["RequestId"],
            stack_id=event["StackId"],
            logical_id=event["LogicalResourceId"],
            physical_id=event.get("PhysicalResourceId", ""),
            properties=event.get("ResourceProperties", {}),
        )

    @property
    def owner(self) -> str:
        """Who owns the resource at Stripe: the stack by its name, so that one made anew finds
        what an earlier one left, and the resource's name in it.
        """
        account_and_stack = self.stack_id.split(":", 3)[3].rsplit("/", 1)[0]
        return f"{account_and_stack}/{self.logical_id}"

    def idempotency_key(self, step: str) -> str:
        """Return the key of one call of this request: a repeated request repeats no call."""
        return f"{self.id}-{self.logical_id}-{step}"


@dataclass(frozen=True, slots=True)
class Resource:
    """What CloudFormation is told about what exists now."""

    physical_id: str
    attributes: Mapping[str, str]
    """For `Fn::GetAtt`; no secrets, since anybody who may see the stack can read them."""


class CustomResource(Protocol):
    """One kind of resource."""

    may_exist: bool
    """Whether Stripe has been asked to create something."""

    def put(self, request: Request) -> Resource:
        """Create or update; return what exists now."""

    def delete(self, request: Request) -> None:
        """Delete; what is gone already is deleted."""


class OutOfTime(BaseException):
    """The invocation is about to end. No `Exception`, so that no library swallows it."""


def answer(
    event: Mapping[str, Any], context: LambdaContext, open_resource: Callable[[], CustomResource]
) -> None:
    """Carry one request out, and tell CloudFormation what became of it."""
    logger = Telemetry().logger
    request = Request.of(event)
    response, failure = _carry_out(request, context, open_resource)
    extra = {"request": request.kind, "resource": request.logical_id, **response}
    log = logger.error if failure else logger.info
    log("custom resource request carried out", extra={**extra, "error": failure})
    _send(event["ResponseURL"], {**_identity(request), **response})


def _carry_out(
    request: Request, context: LambdaContext, open_resource: Callable[[], CustomResource]
) -> tuple[dict[str, Any], str | None]:
    resource: CustomResource | None = None
    try:
        with _time_limit(Deadline.of_invocation(context).remaining() - ANSWER_RESERVE_SECONDS):
            if request.kind == "Delete" and request.physical_id == NOT_CREATED:
                return _success(Resource(NOT_CREATED, {})), None
            resource = open_resource()
            if request.kind == "Delete":
                resource.delete(request)
                return _success(Resource(request.physical_id, {})), None
            return _success(resource.put(request)), None
    except (Exception, OutOfTime) as error:  # noqa: BLE001 - whatever it is, it must be answered
        reason = _reason(error)
        unnamed = UNKNOWN if resource is not None and resource.may_exist else NOT_CREATED
        physical_id = request.physical_id or unnamed
        failed = {"Status": "FAILED", "Reason": reason, "PhysicalResourceId": physical_id}
        return failed, type(error).__name__


def _success(resource: Resource) -> dict[str, Any]:
    return {
        "Status": "SUCCESS",
        "PhysicalResourceId": resource.physical_id,
        "Data": dict(resource.attributes),
    }


def _identity(request: Request) -> dict[str, str]:
    return {
        "RequestId": request.id,
        "StackId": request.stack_id,
        "LogicalResourceId": request.logical_id,
    }


def _reason(error: Exception | OutOfTime) -> str:
    if isinstance(error, SettlementError | OutOfTime):
        reason = str(error)
    else:
        reason = describe(error) or str(UnexpectedFailure.of(error))
    return reason[:_LONGEST_REASON]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` inside the block, wherever it is, once the time is up."""

    def end(_signal: int, _frame: object) -> None:
        raise OutOfTime(f"not done within the function's {seconds:.0f} s; deploy again")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _send(url: str, response: Mapping[str, Any]) -> None:
    """Put the answer where CloudFormation waits for it.

    Raises:
        OSError: it could not be put there.
    """
    body = json.dumps(response).encode()
    # The address is signed for a request without a content type.
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own, over HTTPS
        url, data=body, headers={"Content-Type": ""}, method="PUT"
    )
    for attempt in range(1, ANSWER_ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_SECONDS) as taken:  # noqa: S310
                if taken.status == HTTPStatus.OK:
                    return
        except OSError:
            if attempt == ANSWER_ATTEMPTS:
                raise
