"""The API from request to answer: key, fault, parameters, idempotency, operation."""

from __future__ import annotations

import copy
import json
import secrets
import threading
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from local.fake_stripe.account import Account, Mode
from local.fake_stripe.checkout import expand
from local.fake_stripe.errors import ApiError
from local.fake_stripe.idempotency import IdempotencyKeys
from local.fake_stripe.parameters import Parameters, check, read_form
from local.fake_stripe.routes import Route


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request, as it came."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: str = ""

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def version(self) -> str:
        """`v1` or `v2`."""
        return "v2" if self.path.startswith("/v2/") else "v1"

    @property
    def key(self) -> str | None:
        """The API key: a bearer token, or the user name of HTTP's basic authentication."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            return b64decode(key).decode().partition(":")[0]
        return key if scheme == "Bearer" else None


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP response, as it goes."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class Api:
    """Carries out requests, one at a time."""

    def __init__(self, account: Account, routes: Sequence[Route], lock: threading.RLock) -> None:
        self._account = account
        self._routes = routes
        self._lock = lock
        self._idempotency = {True: IdempotencyKeys(), False: IdempotencyKeys()}

    def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        id_ = f"req_{secrets.token_hex(7)}"
        headers = {"Request-Id": id_}
        if version := request.headers.get("stripe-version"):
            headers["Stripe-Version"] = version
        try:
            with self._lock:
                status, body, original = self._carry_out(request, id_)
        except ApiError as error:
            return Response(
                status=error.status,
                body=error.body(request.version),
                headers={**headers, **error.headers},
            )
        if key := self._idempotency_key(request):
            headers["Idempotency-Key"] = key
            headers["Original-Request"] = original
            if original != id_:
                headers["Idempotent-Replayed"] = "true"
        return Response(status=status, body=body, headers=headers)

    def _carry_out(self, request: Request, id_: str) -> tuple[int, Any, str]:
        route, ids = self._route(request)
        mode = self._account.mode_of(request.key, route.permission)
        self._check_headers(request)
        keys, key = self._idempotency[mode.livemode], self._idempotency_key(request)
        identity = (request.method, request.path, request.body)
        if key and (kept := keys.answer(key, identity, request.version)):
            return kept
        # Refused before the operation begins, and so not kept for the idempotency key.
        parameters = self._parameters(request, route)
        try:
            answer = (200, self._run(route, mode, parameters, ids), id_)
        except ApiError as error:
            answer = (error.status, error.body(request.version), id_)
        if key:
            keys.keep(key, identity, answer, request.version)
        return answer

    def _run(self, route: Route, mode: Mode, parameters: Parameters, ids: tuple[str, ...]) -> Any:
        paths = parameters.pop("expand", [])
        answer = route.operation(mode, parameters, *ids)
        # A copy: what is answered, or kept for an idempotency key, stays what it is now.
        return copy.deepcopy(expand(mode, answer, paths))

    def _route(self, request: Request) -> tuple[Route, tuple[str, ...]]:
        for route in self._routes:
            match = route.path.fullmatch(request.path)
            if match and route.method == request.method:
                return route, match.groups()
        raise ApiError(
            404,
            f"Unrecognized request URL ({request.method}: {request.path}). local/fake_stripe plays "
            "what is in its routes.py.",
            code="not_found" if request.version == "v2" else None,
        )

    def _check_headers(self, request: Request) -> None:
        if request.version == "v2" and not request.headers.get("stripe-version"):
            raise ApiError(400, "The Stripe-Version header is required.", code="missing_version")
        for name in ("stripe-account", "stripe-context"):
            if request.headers.get(name, self._account.id) != self._account.id:
                raise ApiError(
                    403,
                    f"The provided key does not have access to account '{request.headers[name]}' "
                    "(or that account does not exist).",
                    code="account_invalid",
                )

    def _parameters(self, request: Request, route: Route) -> Parameters:
        if request.method != "POST":
            raw = read_form(urlsplit(request.target).query)
        elif request.version == "v1":
            raw = read_form(request.body)
        else:
            try:
                raw = json.loads(request.body or "{}")
            except ValueError:
                raise ApiError(400, "The body is not JSON.", code="invalid_json") from None
        # The library follows a list's `next_page_url` as it is, and so declares no `page`.
        paged = request.version == "v2" and request.method == "GET" and not route.path.groups
        page = {"page": raw.pop("page")} if paged and "page" in raw else {}
        return {**check(raw, route.shape, request.version), **page}

    def _idempotency_key(self, request: Request) -> str | None:
        """v1 ignores the key of a DELETE."""
        takes_one = request.method == "POST" or (request.method, request.version) == (
            "DELETE",
            "v2",
        )
        return request.headers.get("idempotency-key") if takes_one else None
