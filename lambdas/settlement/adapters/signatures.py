"""Verify webhook signatures with Stripe's own library: the one file that imports stripe.

The rules are those of "Resolve webhook signature verification errors" and "Verify webhook
signatures manually" (Stripe documentation).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from stripe import SignatureVerificationError, WebhookSignature

from settlement.configuration import split_secrets
from settlement.domain.clock import utc_now
from settlement.errors import ConfigurationError, RejectedDelivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

    from settlement.domain.clock import Deadline

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class SigningSecrets(Protocol):
    """The endpoint's secrets, two while one is being rolled: stored, or fixed."""

    def read(self, deadline: Deadline) -> Iterable[str]:
        """Return the secrets to try."""

    def read_again(self, deadline: Deadline) -> Iterable[str] | None:
        """Those to try once none of the former matched; ``None`` where they cannot have changed."""


class FixedSigningSecrets:
    """Secrets that stand in the environment."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def read(self, deadline: Deadline) -> Iterable[str]:  # noqa: ARG002
        """See :class:`SigningSecrets`."""
        return self._secrets

    def read_again(self, deadline: Deadline) -> Iterable[str] | None:  # noqa: ARG002
        """See :class:`SigningSecrets`."""
        return None


def signing_secrets_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the signing secrets: under ``webhook_secret`` one, or several with commas.

    Raises:
        ConfigurationError: naming the key, where it holds none.
    """
    text = value.get("webhook_secret")
    secrets = split_secrets(text) if isinstance(text, str) else ()
    if not secrets:
        raise ConfigurationError("the key 'webhook_secret' must hold the endpoint's signing secret")
    return secrets


class SignatureVerifier:
    """Decides whether a body was signed by Stripe, for this endpoint, just now."""

    def __init__(
        self,
        secrets: SigningSecrets,
        *,
        tolerance: timedelta,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._secrets = secrets
        self._tolerance = tolerance
        self._clock = clock

    def verify(self, body: bytes, header: str | None, deadline: Deadline) -> str:
        """Return the body as text once its signature is established.

        The timestamp is held against our own clock in both directions: Stripe's library refuses
        old ones only, and a far-future one would be replayable until then.

        Raises:
            RejectedDelivery: the signature is missing, malformed, wrong, stale or from the future,
                or the body is not UTF-8.
            RetryableError: the signing secrets could not be read.
        """
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise RejectedDelivery("the body is not UTF-8") from None
        if not header or not header.isascii():
            raise RejectedDelivery("the Stripe-Signature header is missing or malformed")
        self._check_timestamp(header)
        if not (
            _any_matches(text, header, self._secrets.read(deadline))
            or _any_matches(text, header, self._secrets.read_again(deadline) or ())
        ):
            raise RejectedDelivery("no signing secret matches the signature")
        return text

    def _check_timestamp(self, header: str) -> None:
        # The first `t`, as stripe's library reads it, so that what is checked is what is signed.
        items = (item.split("=", 2) for item in header.split(","))
        timestamp = next((item[1] for item in items if item[0] == "t" and len(item) > 1), "")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise RejectedDelivery("the Stripe-Signature header carries no timestamp")
        age = self._clock().timestamp() - int(timestamp)
        tolerance = self._tolerance.total_seconds()
        if abs(age) > tolerance:
            direction = "old" if age > 0 else "in the future"
            raise RejectedDelivery(
                f"the signature is {abs(age):.0f} s {direction}; {tolerance:.0f} s are allowed"
            )


def _any_matches(text: str, header: str, secrets: Iterable[str]) -> bool:
    return any(_matches(text, header, secret) for secret in secrets)


def _matches(text: str, header: str, secret: str) -> bool:
    try:
        return bool(WebhookSignature.verify_header(text, header, secret))
    except SignatureVerificationError:
        return False
