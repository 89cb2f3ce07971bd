"""Errors as Stripe's API reports them: a status, and a JSON body with an `error` in it.

Sources: Stripe API reference, "Errors" (v1), and the error tables of "Event Destinations" (v2). The
two versions differ: v1 has a `type` always, v2 a `code` always.
"""

from __future__ import annotations

from typing import Any

_TYPES = {"idempotency_error": "idempotency_error", "rate_limit": "rate_limit"}
"""The v2 codes whose `type` Stripe's library looks at."""


class ApiError(Exception):
    """A request that is refused. It becomes the response's status, headers and body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type_: str = "invalid_request_error",
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.type = type_
        self.param = param
        self.headers = headers or {}

    def body(self, version: str) -> dict[str, Any]:
        """Return the body, as API `v1` or `v2` words it."""
        if version == "v2":
            error = {
                "code": self.code or "api_error",
                "message": self.message,
                "type": _TYPES.get(self.code or "", self.type),
            }
        else:
            fields = {"code": self.code, "param": self.param}
            error = {
                "message": self.message,
                "type": self.type,
                **{name: value for name, value in fields.items() if value is not None},
            }
        return {"error": error}


def invalid_fields(path: str, problem: str) -> ApiError:
    """Return v2's 400 for a field that does not hold what it must."""
    message = f"Some fields in the request were invalid: '{path}: {problem}'"
    return ApiError(400, message, code="invalid_fields")


def missing(kind: str, id_: str, *, version: str = "v1", param: str = "id") -> ApiError:
    """Return the 404 for an object that does not exist, or not in this mode."""
    if version == "v2":
        return ApiError(404, f"{kind} not found: {id_}", code="not_found")
    return ApiError(404, f"No such {kind}: '{id_}'", code="resource_missing", param=param)


def unauthorised(key: str | None) -> ApiError:
    """Return the 401 for a key that is absent or unknown; of the key only its ends are shown."""
    if not key:
        return ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    hidden = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8
    return ApiError(401, f"Invalid API Key provided: {hidden}")


def forbidden(permission: str, account: str) -> ApiError:
    """Return the 403 for a restricted key without the permission, e.g. `webhook_write`."""
    return ApiError(
        403,
        "The provided key 'rk_***' does not have the required permissions for this endpoint on "
        f"account '{account}'. Having the 'rak_{permission}' permission would allow this request "
        "to continue.",
    )
