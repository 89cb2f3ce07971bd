"""Call Stripe's API with Stripe's own library. No function that settles loads this at its start.

The library's client over urllib, which is the one the asset has the parts of: `requests` would be
a second HTTP client beside the runtime's (stripe_settlement/bundling/build_asset.py).
"""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import time
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, cast

from stripe import (
    APIConnectionError,
    AuthenticationError,
    StripeClient,
    StripeError,
    UrllibClient,
)

from settlement.domain.payments import HANDLED_TYPES
from settlement.domain.reconciliation import Page, event_of
from settlement.errors import ConfigurationError, StripeUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from settlement.adapters.secrets import Secret
    from settlement.domain.clock import Deadline
    from settlement.domain.reconciliation import Window

    _Answer = tuple[str, int, Mapping[str, str]]

TIMEOUT_SECONDS: Final = 20.0
"""For a connection and for each read. Stripe's own default is 80 s."""

RETRIES: Final = 2
"""Of the library, after a network error, a conflict or a 5xx, with the same idempotency key."""

RATE_LIMIT_PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds before a request that Stripe answered with 429 is sent again; the library does not."""

MIN_USEFUL_SECONDS: Final = 0.1
"""Nothing is sent with less than this left: it could not answer."""

BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 8.0
"""Between attempts of what settles, unless Stripe says when; doubling, with jitter."""

PAGE_SIZE: Final = 100
"""Stripe's largest."""

_MODES: Final = {"sk_live": True, "rk_live": True, "sk_test": False, "rk_test": False}
# At INFO the library writes each request, and at DEBUG the answer: the payer's name and addresses.
logging.getLogger("stripe").setLevel(logging.WARNING)
_SECRET: Final = re.compile(r"\b(?:[rs]k_(?:live|test)|whsec)_[\w*./+=-]+")


def open_stripe(api_key: str, *, livemode: bool, deadline: Deadline | None = None) -> StripeClient:
    """Return a client that has connected to nothing yet.

    Args:
        api_key: a secret or a restricted key.
        livemode: the mode the key must be of.
        deadline: of all its requests, each of which is then sent once; who settles tries again by
            the time that is left.

    Raises:
        ConfigurationError: the key is of the other mode, or no secret key at all.
    """
    mode = _MODES.get(api_key[:7])
    if mode is None:
        raise ConfigurationError(
            "the Stripe API key is no secret and no restricted key; allowed is sk_live_…, "
            "rk_live_…, sk_test_… or rk_test_…"
        )
    if mode is not livemode:
        raise ConfigurationError(
            f"the Stripe API key is of {_name(livemode=mode)}, and this deployment settles "
            f"{_name(livemode=livemode)}; give it a key of that mode"
        )
    return StripeClient(
        api_key,
        http_client=_Urllib(deadline),
        max_network_retries=RETRIES if deadline is None else 0,
        base_addresses={"api": base} if (base := os.environ.get("STRIPE_API_BASE")) else {},
    )


def api_key_of(secret: Mapping[str, Any]) -> str:
    """Return the key that a secret holds.

    Raises:
        ConfigurationError: it holds none.
    """
    api_key = secret.get("api_key")
    if not isinstance(api_key, str):
        raise ConfigurationError("the key 'api_key' must hold a secret or restricted key of Stripe")
    return api_key.strip()


class StripeApi:
    """What the functions ask of Stripe while they settle.

    The domain's ``StripeEvents`` and ``Sessions``.
    """

    def __init__(
        self,
        api_key: Secret[str],
        *,
        livemode: bool,
        account: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            api_key: read when something is asked, so that a rotated one is used.
            livemode: the mode the key must be of.
            account: a connected account to ask for; None: the key's own.
            sleep: pauses between attempts.
        """
        self._api_key = api_key
        self._livemode = livemode
        self._account = account
        self._sleep = sleep

    def list_events(self, window: Window, after: str | None, deadline: Deadline) -> Page:
        """See :meth:`settlement.domain.reconciliation.StripeEvents.list_events`."""
        parameters: dict[str, Any] = {
            "types": sorted(HANDLED_TYPES),
            "created": {
                "gte": int(window.since.timestamp()),
                "lte": int(window.until.timestamp()),
            },
            "limit": PAGE_SIZE,
        }
        if after is not None:
            parameters["starting_after"] = after
        answer = self._ask(
            lambda stripe: stripe.v1.events.list(cast("Any", parameters), self._options()), deadline
        )
        return Page([event_of(self._owned(each)) for each in answer["data"]], answer["has_more"])

    def session(self, session_id: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """See :meth:`settlement.domain.service.Sessions.session`."""
        try:
            answer = self._ask(
                lambda stripe: stripe.v1.checkout.sessions.retrieve(
                    session_id, None, self._options()
                ),
                deadline,
            )
        except _NoSuchObject:
            return None
        if answer.get("id") != session_id:
            raise StripeUnavailable("Stripe returned another object than the session asked for")
        return cast("Mapping[str, Any]", answer)

    def _options(self) -> Any:
        return {} if self._account is None else {"stripe_account": self._account}

    def _owned(self, event: dict[str, Any]) -> dict[str, Any]:
        """Say whose event it is, which Stripe leaves out where it was asked for that account's."""
        return event if self._account is None else {**event, "account": self._account}

    def _ask(self, request: Callable[[StripeClient], Any], deadline: Deadline) -> Any:
        """Return the plain JSON of an answer; try again as long as that may help and time is left.

        Raises:
            _NoSuchObject: Stripe says so.
            StripeUnavailable: no answer in time, or a refusal.
            ConfigurationError: the key is of the other mode.
            SecretUnavailable: the key could not be read.
        """
        api_key = self._api_key.read(deadline)
        refused = False
        for attempt in count():
            if deadline.remaining() < MIN_USEFUL_SECONDS:
                raise StripeUnavailable("no time was left to ask Stripe")
            client = open_stripe(api_key, livemode=self._livemode, deadline=deadline)
            try:
                return request(client).last_response.data
            except AuthenticationError as error:
                renewed = None if refused else self._api_key.read_again(deadline)
                if renewed is None:
                    raise StripeUnavailable(describe(error)) from None
                api_key, refused = renewed, True
            except StripeError as error:
                if is_missing(error):
                    raise _NoSuchObject(describe(error)) from None
                pause = _pause(error, attempt)
                if pause is None or deadline.remaining() - pause < MIN_USEFUL_SECONDS:
                    raise StripeUnavailable(describe(error)) from None
                self._sleep(pause)
        raise AssertionError("unreachable")


class _NoSuchObject(StripeUnavailable):
    """Stripe has no object of the id that was asked for."""


def _pause(error: StripeError, attempt: int) -> float | None:
    """Return the seconds before another attempt; None where it would end alike."""
    status = error.http_status
    if status is not None and status != HTTPStatus.TOO_MANY_REQUESTS and status < 500:
        return None
    wanted = (error.headers or {}).get("retry-after", "")
    bound = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * float(2 ** min(attempt, 10)))
    pause = random.uniform(bound / 2, bound)  # noqa: S311 - jitter
    return max(pause, float(wanted)) if wanted.isascii() and wanted.isdecimal() else pause


def is_missing(error: StripeError) -> bool:
    """Whether Stripe says that there is no such object, or not in the key's mode."""
    return error.http_status == HTTPStatus.NOT_FOUND


def describe(error: BaseException) -> str | None:
    """Return what Stripe said, with nothing of a key, or None if the error is not Stripe's."""
    if not isinstance(error, StripeError):
        return None
    said = _SECRET.sub("…", str(error.user_message or error)).strip()
    return f"Stripe returned {error.http_status or 'no answer'} ({type(error).__name__}): {said}"


class _Urllib(UrllibClient):
    """The library's client over urllib, with the timeout and the retries it lacks."""

    def __init__(self, deadline: Deadline | None) -> None:
        super().__init__()
        self._deadline = deadline

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send a request, and again after a pause if Stripe asks for one.

        Raises:
            APIConnectionError: there was no answer; the library sends the request again.
        """
        pauses = RATE_LIMIT_PAUSES if self._deadline is None else ()
        for pause in (*pauses, None):
            answer = self._request_once(method, url, headers or {}, post_data)
            if answer[1] != HTTPStatus.TOO_MANY_REQUESTS or pause is None:
                break
            time.sleep(pause)
        return answer

    def _request_once(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        seconds = TIMEOUT_SECONDS
        if self._deadline is not None:
            seconds = min(seconds, max(self._deadline.remaining(), MIN_USEFUL_SECONDS))
        socket.setdefaulttimeout(seconds)  # urllib's own is to wait for ever
        try:
            send = partial(super().request, method, url, headers, post_data)
            return send() if self._deadline is None else _within(seconds, send)
        except (APIConnectionError, HTTPException, OSError) as error:
            # In the library's own words the reason would be missing, and that it may pass.
            cause = type(error.__cause__ or error).__name__
            raise APIConnectionError(cause, should_retry=True) from error  # type: ignore[no-untyped-call]


def _within(seconds: float, send: Callable[[], _Answer]) -> _Answer:
    """Return the answer, or raise a ``TimeoutError`` after so many seconds.

    A socket's timeout is that of each wait. A connection, a handshake and an answer that comes by
    the byte are many, and looking up a name has none.
    """
    answers: SimpleQueue[_Answer | Exception] = SimpleQueue()

    def run() -> None:
        try:
            answers.put(send())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answers.put(error)

    Thread(target=run, name="stripe-request", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _name(*, livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
