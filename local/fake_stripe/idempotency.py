"""Idempotency keys: the same request again gets the first one's answer and does nothing.

v1 keeps the answer whatever it was; v2 keeps successes only and lets a failure be tried again. Each
refuses a key that comes with other parameters. Sources: Stripe API reference, "Idempotent requests"
(v1: 400) and the error table of v2's "Delete an event destination" (409).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.fake_stripe.errors import ApiError

Answer = tuple[int, Any, str]
"""Status, body, and the id of the request that it answered."""
_Request = tuple[str, str, str]
"""Method, path and body."""


@dataclass
class IdempotencyKeys:
    """The keys of one mode that have been used, with what they were used for."""

    _used: dict[str, tuple[_Request, Answer]] = field(default_factory=dict)

    def answer(self, key: str, request: _Request, version: str) -> Answer | None:
        """Return what the key's first request was answered, or None for a new key.

        Raises:
            ApiError: the key was used for another request.
        """
        if key not in self._used:
            return None
        first, answer = self._used[key]
        if first == request:
            return answer
        what = (
            "parameters they were first" if first[:2] == request[:2] else "endpoint they were first"
        )
        raise ApiError(
            400 if version == "v1" else 409,
            f"Keys for idempotent requests can only be used with the same {what} used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request.",
            code="idempotency_error" if version == "v2" else None,
            type_="idempotency_error",
        )

    def keep(self, key: str, request: _Request, answer: Answer, version: str) -> None:
        """Remember the answer, if this version of the API does."""
        if version == "v1" or answer[0] < 400:
            self._used[key] = (request, answer)
