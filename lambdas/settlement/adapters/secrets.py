"""Read secrets from AWS Secrets Manager, and read them again when they have been rotated.

The one call that is needed is signed and sent with botocore's own parts. A botocore *client* would
do the same and costs a cold start twice as much: it loads every service's model and endpoints
(docs/decisions/0002-reading-secrets.md).
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from settlement.errors import ConfigurationError, SecretUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from settlement.domain.clock import Deadline

ATTEMPTS = 3
TIMEOUT_SECONDS = 3.0
BACKOFF_SECONDS = 0.2


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Secret(Protocol[T_co]):
    """What is made of a JSON secret that may be rotated while it is in use."""

    def read(self, deadline: Deadline) -> T_co:
        """Return what it holds, from the cache where it has been read a short time ago."""

    def read_again(self, deadline: Deadline) -> T_co | None:
        """Return what it holds now; ``None`` where it was read too short a time ago."""


class SecretsManagerSecret(Generic[T]):
    """One secret by ARN, fetched on first use and kept for a few minutes.

    What cannot be used is never kept: once the secret is put right, the next delivery works.
    """

    MIN_AGE_SECONDS = 10.0
    """Between two reads forced by a refusal, so that forged signatures cannot become calls."""
    MAX_AGE_SECONDS = 300.0
    """After which a secret that was revoked is no longer accepted, however busy the process is."""

    def __init__(
        self,
        arn: str,
        parse: Callable[[Mapping[str, Any]], T],
        *,
        fetch: Callable[[str, Deadline], Mapping[str, Any]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            arn: Of the secret.
            parse: Makes of the JSON object what is used; raises a ``ConfigurationError`` that names
                the key, never the value.
            fetch: Reads the JSON object; by default from Secrets Manager.
            monotonic: The clock of the value's age.
        """
        self._arn = arn
        self._parse = parse
        self._fetch = fetch or get_secret_value
        self._monotonic = monotonic
        self._value: T | None = None
        self._read_at = self._tried_at = 0.0

    def read(self, deadline: Deadline) -> T:
        """See :class:`Secret`.

        Raises:
            SecretUnavailable: Secrets Manager gave no JSON object before the deadline.
            ConfigurationError: naming the secret and the key whose value cannot be used.
        """
        age = self._monotonic() - self._read_at
        if self._value is None or age >= self.MAX_AGE_SECONDS:
            return self._refresh(deadline)
        return self._value

    def read_again(self, deadline: Deadline) -> T | None:
        """See :class:`Secret`; raises as :meth:`read` does, and keeps the old value then."""
        distance = self._monotonic() - self._tried_at
        if self._value is not None and distance < self.MIN_AGE_SECONDS:
            return None
        return self._refresh(deadline)

    def _refresh(self, deadline: Deadline) -> T:
        self._tried_at = started = self._monotonic()
        try:
            value = self._parse(self._fetch(self._arn, deadline))
        except ConfigurationError as error:
            raise ConfigurationError(f"the secret {self._arn}: {error}") from None
        self._value, self._read_at = value, started
        return value


def get_secret_value(arn: str, deadline: Deadline) -> Mapping[str, Any]:
    """Call ``GetSecretValue`` ("AWS Secrets Manager API Reference").

    Throttling, errors of the service and of the network are tried again within the deadline.

    Raises:
        SecretUnavailable: with the service's error code or the kind of the network error.
    """
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.exceptions import HTTPClientError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            status, body = _post(arn, deadline)
        except (HTTPClientError, NoConnectionError) as error:
            reason, passing = type(error).__name__, True
        else:
            if status == 200:
                return _parse(arn, body)
            reason = _error_code(status, body)
            passing = status >= 500 or "Throttling" in reason
        pause = BACKOFF_SECONDS * attempt
        if not passing or attempt == ATTEMPTS or deadline.remaining() <= pause:
            break
        time.sleep(pause)
    raise SecretUnavailable(f"GetSecretValue of {arn} gave {reason}")


def _post(arn: str, deadline: Deadline) -> tuple[int, bytes]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    for name in ("botocore", "urllib3"):  # at DEBUG they write the signed request: replayable
        logging.getLogger(name).setLevel(logging.INFO)
    timeout = min(TIMEOUT_SECONDS, deadline.remaining())
    if timeout <= 0:
        raise SecretUnavailable(f"no time was left to read {arn}")
    partition, region = _partition_and_region(arn)
    request = AWSRequest(
        method="POST",
        url=_endpoint(partition, region),
        data=json.dumps({"SecretId": arn}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "secretsmanager.GetSecretValue",
        },
    )
    try:
        # How Lambda hands a function its role ("Lambda environment variables").
        credentials = Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN"),
        )
    except KeyError as error:
        raise SecretUnavailable(f"there are no credentials: {error.args[0]} is not set") from None
    SigV4Auth(credentials, "secretsmanager", region).add_auth(request)
    session = URLLib3Session(timeout=timeout)  # type: ignore[arg-type]  # the stub says int only
    answer = session.send(request.prepare())
    return answer.status_code, answer.content


def _partition_and_region(arn: str) -> tuple[str, str]:
    """``arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf``."""
    parts = arn.split(":")
    if len(parts) < 7 or parts[0] != "arn" or parts[2] != "secretsmanager":
        raise SecretUnavailable(f"{arn} is not the ARN of a secret")
    return parts[1], parts[3]


def _endpoint(partition: str, region: str) -> str:
    override = os.environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or os.environ.get(
        "AWS_ENDPOINT_URL"
    )
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return override or f"https://secretsmanager.{region}.{suffix}/"


def _parse(arn: str, body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(json.loads(body)["SecretString"])
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, dict):
        # `from None`: a parser's error quotes what it could not read, here a secret.
        raise SecretUnavailable(f"{arn} does not hold a JSON object") from None
    return value


def _error_code(status: int, body: bytes) -> str:
    """Return the code of an AWS JSON 1.1 error, e.g. ``AccessDeniedException``."""
    try:
        code = json.loads(body)["__type"].rpartition("#")[2]
    except (ValueError, KeyError, TypeError, AttributeError):
        code = ""
    return code or f"HTTP {status}"
