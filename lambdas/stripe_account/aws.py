"""AWS's side: the stack's signing secret, the partner event source, the state of the stack."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from stripe_account.errors import AwsCallFailed, StripeAccountError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE_WAIT_SECONDS: Final = 120.0
"""For Stripe's event source to appear. It takes seconds; the account or region may be mistaken."""

_POLL_SECONDS: Final = 1.0


class SigningSecrets:
    """The signing secrets of our endpoints, in one secret of the stack.

    JSON: `webhook_secret`, which the webhook reads, is every endpoint's, the newest first,
    separated by commas; `endpoints` says whose each one is.
    """

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._client = _client("secretsmanager")

    def known(self) -> dict[str, str]:
        """Return the signing secrets by the ids of their endpoints, the newest last.

        Raises:
            AwsCallFailed: the secret cannot be read.
        """
        with _aws_calls():
            value = json.loads(self._client.get_secret_value(SecretId=self._arn)["SecretString"])
        return dict(value.get("endpoints", {}))

    def add(self, endpoint_id: str, signing_secret: str) -> None:
        """Accept what this endpoint signs, beside what is accepted already.

        Raises:
            AwsCallFailed: the secret cannot be written.
        """
        self._write({**self.known(), endpoint_id: signing_secret})

    def remove(self, endpoint_id: str) -> None:
        """Accept it no longer.

        Raises:
            AwsCallFailed: the secret cannot be written.
        """
        known = self.known()
        if known.pop(endpoint_id, None) is not None:
            self._write(known)

    def _write(self, endpoints: dict[str, str]) -> None:
        # Without any endpoint nobody may be able to sign, so the secret is one that nobody knows.
        accepted = list(reversed(endpoints.values())) or [secrets.token_urlsafe(32)]
        value = {"webhook_secret": ",".join(accepted), "endpoints": endpoints}
        with _aws_calls():
            self._client.put_secret_value(SecretId=self._arn, SecretString=json.dumps(value))


def wait_for_event_source(
    name: str,
    *,
    seconds: float = SOURCE_WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Return once the partner event source is there to be associated with a bus.

    Raises:
        StripeAccountError: it does not appear in time, or Stripe has deleted it.
        AwsCallFailed: AWS refuses to describe it.
    """
    events, end = _client("events"), monotonic() + seconds
    while (state := _state_of(events, name)) not in ("PENDING", "ACTIVE"):
        if state == "DELETED" or monotonic() >= end:
            raise StripeAccountError(
                f"the event source {name} is {state or 'not there'}, {seconds:.0f} s after Stripe "
                "made its destination; deploy again, and if it stays away look at the destination "
                "in Stripe's Workbench"
            )
        sleep(_POLL_SECONDS)


def stack_is_rolling_back(stack_id: str) -> bool:
    """Whether the stack returns to what it was, instead of moving on or going.

    Raises:
        AwsCallFailed: AWS refuses to describe it.
    """
    with _aws_calls():
        described = _client("cloudformation").describe_stacks(StackName=stack_id)
    return "ROLLBACK" in described["Stacks"][0]["StackStatus"]


def _state_of(events: Any, name: str) -> str | None:
    with _aws_calls():
        try:
            return str(events.describe_event_source(Name=name)["State"])
        except events.exceptions.ResourceNotFoundException:
            return None


def _client(service: Literal["cloudformation", "events", "secretsmanager"]) -> Any:
    import boto3  # the runtime's; not in the asset

    return boto3.client(service)


@contextmanager
def _aws_calls() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise AwsCallFailed(str(error)) from error
