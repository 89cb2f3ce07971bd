"""Faults to order: answers other than the one that was earned, late answers, and none."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from local.fake_stripe.errors import ApiError

_ERRORS: dict[int, tuple[str, str | None, str]] = {
    401: ("Invalid API Key provided: sk_test_********", None, "invalid_request_error"),
    403: ("This key may not do that.", None, "invalid_request_error"),
    404: ("No such object.", "resource_missing", "invalid_request_error"),
    429: ("Request rate limit exceeded.", "rate_limit", "invalid_request_error"),
}
_OURS = ("An unknown error occurred.", None, "api_error")


@dataclass(kw_only=True)
class Fault:
    """What goes wrong, and for which requests.

    Without a status the connection ends without an answer: after `seconds`, so that a client whose
    timeout is shorter sees a timeout.
    """

    path: str = ".*"
    """Regular expression of the whole path, such as `/v1/webhook_endpoints(/.*)?`."""
    method: str = ".*"
    status: int | None = None
    times: int = 1
    """How many requests it hits before it is over."""
    retry_after: int | None = None
    """Seconds, in a `Retry-After` header."""
    seconds: float = 0.0
    """How long the answer, or the end of the connection, is held back."""
    executed: bool = False
    """Whether the request is carried out all the same, and only its answer is lost."""

    def error(self) -> ApiError:
        """Return the answer of a fault that has a status."""
        status = self.status or 500
        message, code, type_ = _ERRORS.get(status, _OURS)
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ApiError(status, message, code=code, type_=type_, headers=headers)


class Faults:
    """The faults that have been ordered and are not over."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Order a fault. The first that fits a request hits it."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits this request, or None."""
        with self._lock:
            for fault in self._faults:
                if re.fullmatch(fault.method, method) and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None
