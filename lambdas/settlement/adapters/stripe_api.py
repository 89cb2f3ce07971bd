"""Call Stripe's API with Stripe's own library. No function that settles loads this at its start.

The library's client over urllib, which is the one the asset has the parts of: `requests` would be
a second HTTP client beside the runtime's (stripe_settlement/bundling/build_asset.py).
"""

from __future__ import annotations

import os
import re
import socket
import time
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from stripe import APIConnectionError, StripeClient, StripeError, UrllibClient

from settlement.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS: Final = 20.0
"""For a connection and for each read. Stripe's own default is 80 s."""

RETRIES: Final = 2
"""Of the library, after a network error, a conflict or a 5xx, with the same idempotency key."""

RATE_LIMIT_PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds before a request that Stripe answered with 429 is sent again; the library does not."""

_MODES: Final = {"sk_live": True, "rk_live": True, "sk_test": False, "rk_test": False}
_SECRET: Final = re.compile(r"\b(?:[rs]k_(?:live|test)|whsec)_[\w*./+=-]+")


def open_stripe(api_key: str, *, livemode: bool) -> StripeClient:
    """Return a client that has connected to nothing yet.

    Args:
        api_key: a secret or a restricted key.
        livemode: the mode the key must be of.

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
        http_client=_Urllib(),
        max_network_retries=RETRIES,
        base_addresses={"api": base} if (base := os.environ.get("STRIPE_API_BASE")) else {},
    )


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
        for pause in (*RATE_LIMIT_PAUSES, None):
            answer = self._request_once(method, url, headers or {}, post_data)
            if answer[1] != HTTPStatus.TOO_MANY_REQUESTS or pause is None:
                break
            time.sleep(pause)
        return answer

    def _request_once(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        socket.setdefaulttimeout(TIMEOUT_SECONDS)  # urllib's own is to wait for ever
        try:
            return super().request(method, url, headers, post_data)
        except (APIConnectionError, HTTPException, OSError) as error:
            # In the library's own words the reason would be missing, and that it may pass.
            cause = type(error.__cause__ or error).__name__
            raise APIConnectionError(cause, should_retry=True) from error  # type: ignore[no-untyped-call]


def _name(*, livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
