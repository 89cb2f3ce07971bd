"""The AWS clients, and how long each call may take. boto3 honours AWS_ENDPOINT_URL by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = Any
"""boto3 makes its clients' methods at run time; their answers are checked where they are read."""

AWS_ERRORS: Final = (BotoCoreError, ClientError)
"""Everything a call to AWS raises."""

_ATTEMPTS: Final = 5
"""Of a throttled or unreachable call, by botocore: it waits 15 s at most between them in all."""

ANSWER_MARGIN: Final = 30
"""Seconds beyond a function's timeout that its answer may take: its start does not count."""

HOLD_MARGIN: Final = 120
"""Seconds beyond a function's timeout that a message stays hidden: for the answer, for botocore's
attempts, and for deleting the message before anybody else sees it."""


class Clients:
    """Makes clients that share one profile and region."""

    def __init__(self, *, profile: str | None = None, region: str | None = None) -> None:
        """
        Args:
            profile: of the AWS configuration files; the default one if None.
            region: where the stack is; what the environment or the profile says if None.

        Raises:
            BotoCoreError: there is no such profile.
        """
        self._session = boto3.Session(profile_name=profile, region_name=region)

    def client(self, service: str) -> Client:
        """A client of one service.

        Raises:
            BotoCoreError: no region is known.
        """
        return self._client(service, Config(retries=_retries()))

    def invoker(self, *, function_timeout: int, at_once: int) -> Client:
        """A Lambda client that waits for the slowest function, and invokes once.

        Args:
            function_timeout: of the slowest function, in seconds.
            at_once: how many threads use the client.
        """
        config = Config(
            retries=_retries(),
            read_timeout=function_timeout + ANSWER_MARGIN,
            max_pool_connections=at_once,
            tcp_keepalive=True,
        )
        client = self._client("lambda", config)
        client.meta.events.register_first("needs-retry.lambda.Invoke", _do_not_invoke_twice)
        return client

    def _client(self, service: str, config: Config) -> Client:
        # Not one of boto3-stubs' literals: the name is a parameter.
        make: Callable[..., Client] = self._session.client
        return make(service, config=config)


def error_code(error: Exception) -> str:
    """AWS's name of an error it answered with, `AccessDeniedException` for example; or ''."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def is_denied(error: Exception) -> bool:
    """Whether it was the caller's permissions."""
    return error_code(error) in ("AccessDenied", "AccessDeniedException", "AccessDenied.Queue")


def _retries() -> Any:
    return {"mode": "standard", "total_max_attempts": _ATTEMPTS}


def _do_not_invoke_twice(caught_exception: Exception | None = None, **_: object) -> None:
    """Left alone, botocore invokes again while the first invocation may still be running. Harmless
    for the order, but it doubles the load on a database that is slow already.
    """
    if isinstance(caught_exception, ReadTimeoutError):
        raise caught_exception
