"""The AWS clients, and how long each call may take. boto3 honours AWS_ENDPOINT_URL by itself."""

import os
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)

Client = Any
"""boto3 makes its clients' methods at run time; their results are checked where they are read."""

AWS_ERRORS: Final = (BotoCoreError, ClientError)
"""Everything a call to AWS raises."""

_RETRIES: Final[Any] = {"mode": "standard", "total_max_attempts": 5}
"""Of a throttled or unreachable call, by botocore: it waits 15 s at most between them in all."""

RESPONSE_MARGIN: Final = 30
"""Seconds beyond a function's timeout that its response may take: its start does not count."""

VISIBILITY_MARGIN: Final = 120
"""Seconds beyond a function's timeout that a message stays hidden: for the response, for botocore's
attempts, and for deleting the message before another consumer sees it."""


class Clients:
    """Makes clients that share one profile and region."""

    def __init__(self, *, profile: str | None = None, region: str | None = None) -> None:
        """
        Args:
            profile: of the AWS configuration files; the default one if None.
            region: where the stack is; if None, what AWS_REGION, AWS_DEFAULT_REGION or the profile
                says. boto3 alone does not look at AWS_REGION, which the AWS CLI does.

        Raises:
            BotoCoreError: there is no such profile.
        """
        self._session = boto3.Session(
            profile_name=profile, region_name=region or os.environ.get("AWS_REGION")
        )

    def client(self, service: str, **config: Any) -> Client:
        """Return a client of one service.

        Raises:
            BotoCoreError: no region is known.
        """
        # Not one of boto3-stubs' literals: the name is a parameter.
        make: Any = self._session.client
        return make(service, config=Config(retries=_RETRIES, **config))

    def invoker(self, *, function_timeout: int, at_once: int) -> Client:
        """Return a Lambda client that waits for the slowest function, and invokes once.

        Args:
            function_timeout: of the slowest function, in seconds.
            at_once: how many threads use the client.
        """
        client = self.client(
            "lambda",
            read_timeout=function_timeout + RESPONSE_MARGIN,
            max_pool_connections=at_once,
            tcp_keepalive=True,
        )
        client.meta.events.register_first("needs-retry.lambda.Invoke", _do_not_invoke_twice)
        return client


def error_code(error: Exception) -> str:
    """Return the code AWS gave an error, `AccessDeniedException` for example; '' without one."""
    response = getattr(error, "response", None)  # Which is None if there was none.
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def is_denied(error: Exception) -> bool:
    """Return whether it was the caller's permissions."""
    return error_code(error).startswith("AccessDenied")


def _do_not_invoke_twice(caught_exception: Exception | None = None, **_: object) -> None:
    """Left alone, botocore invokes again while the first invocation may still be running. Harmless
    for the order, but it doubles the load on a database that is slow already.
    """
    if isinstance(caught_exception, (ReadTimeoutError, ConnectionClosedError)):
        raise caught_exception
