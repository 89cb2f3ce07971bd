"""The account of the fake: what exists in it, apart for test mode and live mode, and its keys."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, get_args

import stripe

from local.fake_stripe.errors import forbidden, unauthorised

Json = dict[str, Any]

ACCOUNT: Final = "acct_1FakeStripe"
API_VERSION: Final = stripe.api_version
"""Of the account: what events are rendered with unless an endpoint has a version of its own."""


@dataclass
class Secret:
    """A signing secret of an endpoint."""

    value: str
    expires: float = float("inf")
    """Epoch seconds. A secret that has been rolled goes on signing until then."""


@dataclass
class Mode:
    """All objects of test mode, or of live mode: neither sees the other's."""

    livemode: bool
    webhook_endpoints: dict[str, Json] = field(default_factory=dict)
    destinations: dict[str, Json] = field(default_factory=dict)
    secrets: dict[str, list[Secret]] = field(default_factory=dict)
    """Signing secrets by the id of a webhook endpoint or an event destination; the newest last."""
    sessions: dict[str, Json] = field(default_factory=dict)
    payment_intents: dict[str, Json] = field(default_factory=dict)
    intent_metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the payment intent to come, by the id of its session."""
    charges: dict[str, Json] = field(default_factory=dict)
    refunds: dict[str, Json] = field(default_factory=dict)
    events: dict[str, Json] = field(default_factory=dict)
    """Snapshot events by id."""
    thin_events: dict[str, Json] = field(default_factory=dict)
    undelivered: dict[str, set[str]] = field(default_factory=dict)
    """By the id of a snapshot event: the webhooks that have not acknowledged it (yet)."""

    @property
    def test(self) -> str:
        """What ids of some objects carry in test mode: `cs_test_…`, `ed_test_…`."""
        return "" if self.livemode else "test_"


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key. A restricted one has permissions, such as `webhook_write` or `event_read`."""

    livemode: bool
    permissions: frozenset[str] | None = None
    """None for a secret key, which may do everything."""


class Account:
    """One Stripe account with its two modes and its keys."""

    def __init__(self) -> None:
        self.id: Final = ACCOUNT
        self.test: Final = Mode(livemode=False)
        self.live: Final = Mode(livemode=True)
        self._keys: dict[str, Key] = {}
        self.test_key: Final = self.add_key()
        """A secret key of test mode."""
        self.live_key: Final = self.add_key(livemode=True)

    def add_key(self, *, livemode: bool = False, permissions: Iterable[str] | None = None) -> str:
        """Return a new API key.

        Args:
            livemode: which mode's objects it sees.
            permissions: of a restricted key, each `<resource>_read` or `<resource>_write`, where
                writing includes reading; None makes a secret key.
        """
        kind = "sk" if permissions is None else "rk"
        key = f"{kind}_{'live' if livemode else 'test'}_{secrets.token_hex(12)}"
        allowed = None if permissions is None else frozenset(permissions)
        self._keys[key] = Key(livemode=livemode, permissions=allowed)
        return key

    def revoke_key(self, key: str) -> None:
        """Make the key unknown, as one that was rolled or deleted in the dashboard is."""
        self._keys.pop(key, None)

    def mode_of(self, key: str | None, permission: str) -> Mode:
        """Return the mode whose objects the key sees.

        Raises:
            ApiError: 401 for an unknown key, 403 for one without the permission.
        """
        known = self._keys.get(key or "")
        if known is None:
            raise unauthorised(key)
        resource = permission.rpartition("_")[0]
        if known.permissions is not None and not known.permissions & {
            permission,
            f"{resource}_write",
        }:
            raise forbidden(permission, self.id)
        return self.live if known.livemode else self.test


def new_id(prefix: str) -> str:
    """Return an id nobody has: `evt_1…`. The prefix ends in `_`."""
    return f"{prefix}1{secrets.token_hex(11)}"


def new_secret() -> Secret:
    """Return a signing secret nobody has."""
    return Secret(f"whsec_{secrets.token_hex(16)}")


def nulls(library_class: type) -> Json:
    """Return the optional fields of one of the library's classes, all null, as v1 answers them."""
    return {
        name: None
        for name, hint in library_class.__annotations__.items()
        if type(None) in get_args(hint)
    }


def timestamp(moment: float | None = None) -> str:
    """Return a time as v2 writes it: `2026-10-22T16:20:09.931Z`."""
    at = datetime.fromtimestamp(time.time() if moment is None else moment, tz=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def merge_metadata(current: dict[str, str], changes: Any) -> dict[str, str]:
    """Return the metadata after an update; an empty value unsets a key, `""` all of them."""
    if not changes:
        return {}
    merged = {**current, **changes}
    return {name: value for name, value in merged.items() if value not in ("", None)}
