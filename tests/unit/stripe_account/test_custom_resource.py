"""CloudFormation gets exactly one answer to each request, and never a secret."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from stripe import InvalidRequestError

from settlement.errors import ConfigurationError
from stripe_account import custom_resource
from stripe_account.custom_resource import NOT_CREATED, UNKNOWN, Request, Resource, answer
from tests.support.cloudformation import STACK_ID, CloudFormation
from tests.support.invocations import AnyContext
from tests.support.output import Process

SECRET = "rk_test_MARKER"


class Doing:
    """A resource whose calls do what the test says."""

    def __init__(
        self, outcome: Resource | BaseException | None = None, *, may_exist: bool = False
    ) -> None:
        self.may_exist = may_exist
        self.requests: list[Request] = []
        self._outcome = outcome

    def put(self, request: Request) -> Resource:
        outcome = self._do(request)
        assert isinstance(outcome, Resource)
        return outcome

    def delete(self, request: Request) -> None:
        self._do(request)

    def _do(self, request: Request) -> object:
        self.requests.append(request)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class Stuck(Doing):
    """A resource whose calls do not come back."""

    def put(self, request: Request) -> Resource:
        while True:
            signal.pause()


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as server:
        yield server


@pytest.fixture
def handle(cloudformation: CloudFormation, process: Process) -> Any:
    def carry_out(
        resource: Doing, kind: str = "Create", *, seconds: float = 60.0, **changes: object
    ) -> dict[str, Any]:
        context = AnyContext(remaining_seconds=seconds)
        process.run(answer, cloudformation.request(kind, **changes), context, lambda: resource)
        [given] = cloudformation.answers
        return given

    return carry_out


def test_what_exists_now_is_answered_with_its_id_and_attributes(handle: Any) -> None:
    given = handle(Doing(Resource("ed_1", {"EventSourceName": "aws.partner/stripe.com/ed_1"})))

    assert given == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "ed_1",
        "Data": {"EventSourceName": "aws.partner/stripe.com/ed_1"},
        "RequestId": "request-1",
        "StackId": STACK_ID,
        "LogicalResourceId": "Endpoint1",
    }


def test_the_answer_has_no_content_type_because_its_address_is_signed_without(
    handle: Any, cloudformation: CloudFormation
) -> None:
    handle(Doing(Resource("ed_1", {})))

    assert cloudformation.content_types == [""]


def test_a_deletion_keeps_the_id(handle: Any) -> None:
    given = handle(Doing(), "Delete", PhysicalResourceId="we_1")

    assert (given["Status"], given["PhysicalResourceId"]) == ("SUCCESS", "we_1")


def test_what_was_refused_before_stripe_was_asked_needs_no_deletion(
    handle: Any, cloudformation: CloudFormation
) -> None:
    given = handle(Doing(ConfigurationError("why")))
    assert (given["Status"], given["Reason"]) == ("FAILED", "why")
    assert given["PhysicalResourceId"] == NOT_CREATED

    cloudformation.answers.clear()
    never = Doing(AssertionError("never asked"))
    assert handle(never, "Delete", PhysicalResourceId=NOT_CREATED)["Status"] == "SUCCESS"
    assert never.requests == []


def test_what_may_exist_all_the_same_is_found_by_its_owner_later(handle: Any) -> None:
    given = handle(Doing(ConfigurationError("why"), may_exist=True))

    assert given["PhysicalResourceId"] == UNKNOWN


def test_a_failed_update_keeps_the_id(handle: Any) -> None:
    given = handle(
        Doing(ConfigurationError("why"), may_exist=True), "Update", PhysicalResourceId="we_1"
    )

    assert (given["Status"], given["PhysicalResourceId"]) == ("FAILED", "we_1")


def test_what_stripe_said_is_the_reason_without_the_key(handle: Any) -> None:
    error = InvalidRequestError(  # type: ignore[no-untyped-call]
        f"The provided key '{SECRET}****{SECRET[-4:]}' does not have the required permissions. "
        "Having the 'rak_webhook_write' permission would allow this request to continue.",
        param=None,
        http_status=403,
    )

    reason = handle(Doing(error))["Reason"]
    assert "rak_webhook_write" in reason
    assert "403" in reason
    assert "MARKER" not in reason


def test_a_defect_is_answered_by_its_place_and_not_its_words(handle: Any) -> None:
    reason = handle(Doing(RuntimeError(f"it was {SECRET}")))["Reason"]

    assert reason.startswith("RuntimeError at test_custom_resource.py:")
    assert "MARKER" not in reason


def test_a_request_that_does_not_end_is_answered_before_lambda_ends_it(handle: Any) -> None:
    started = time.monotonic()
    reserve = custom_resource.ANSWER_RESERVE_SECONDS + 1
    given = handle(Stuck(may_exist=True), seconds=reserve)

    assert given["Status"] == "FAILED"
    assert "not done within" in given["Reason"]
    assert given["PhysicalResourceId"] == UNKNOWN
    assert time.monotonic() - started < reserve


def test_the_time_limit_ends_with_the_request(handle: Any) -> None:
    handle(Doing(Resource("ed_1", {})))

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_answer_that_is_not_taken_is_given_again(
    cloudformation: CloudFormation, handle: Any
) -> None:
    cloudformation.refusals = 2

    assert handle(Doing(Resource("ed_1", {})))["Status"] == "SUCCESS"


def test_the_log_says_what_became_of_it_and_not_where_the_answer_goes(
    handle: Any, process: Process
) -> None:
    handle(Doing(ConfigurationError("why")))

    [line] = process.output().logs
    assert line["level"] == "ERROR"
    assert (line["request"], line["resource"], line["Reason"]) == ("Create", "Endpoint1", "why")
    assert "signed=yes" not in process.output().text


def test_a_stack_made_anew_owns_what_one_of_its_name_left(cloudformation: CloudFormation) -> None:
    first = Request.of(cloudformation.request())
    second = Request.of(cloudformation.request(StackId=STACK_ID.replace("5f3c", "77aa")))
    other = Request.of(cloudformation.request(StackId=STACK_ID.replace("cachao", "shop")))

    assert first.owner == second.owner
    assert first.owner != other.owner


def test_a_repeated_request_has_the_same_keys_and_another_one_others(
    cloudformation: CloudFormation,
) -> None:
    first, again = (Request.of(cloudformation.request()) for _ in range(2))
    other = Request.of(cloudformation.request(RequestId="request-2"))

    assert first.idempotency_key("create") == again.idempotency_key("create")
    assert first.idempotency_key("create") != other.idempotency_key("create")
    assert first.idempotency_key("create") != first.idempotency_key("update")
