"""Stripe's side of both routes: what `doctor` sees there, with an API key.

The key is that of STRIPE_API_KEY, or the one in the secret that the stack's own resources at Stripe
use, read with the caller's rights. It is never an argument: those are seen by everybody on the
machine. Stripe's library is imported only when there is a key.
"""

import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from stripe_settlement_cli.aws import Client
from stripe_settlement_cli.failure_reasons import printable
from stripe_settlement_cli.finding import Finding, State

_SECRET_ARN: Final = "STRIPE_API_KEY_SECRET_ARN"  # noqa: S105 - a variable's name
_SIGNING_SECRET_ARN: Final = "STRIPE_SECRET_ARN"  # noqa: S105 - a variable's name
"""In the environment of the functions that have one."""

_THIN_EVENTS_KEY: Final = "THIN_EVENTS_KEY_SECRET_ARN"

THIN: Final = "v1."
"""Begins a type's name in thin events."""

_LIVE_KEYS: Final = {"sk_live": True, "rk_live": True, "sk_test": False, "rk_test": False}

_NEEDS: Final = "STRIPE_API_KEY with a restricted key that may read webhook endpoints"

_WORKBENCH: Final = "In Stripe, Workbench, Webhooks"

_ROLL: Final = "Where the stack has created it, raise stripe_roll in cdk.json and deploy instead."

_MISSED: Final = "What was missed meanwhile: see 'Bring an event back from Stripe' in the runbook."

_PROBE_SECONDS: Final = 29.0
"""After which API Gateway gives up too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the stack expects to be at Stripe."""

    livemode: bool | None
    """The mode it settles; None if that is not known."""
    event_source: str
    """The partner event source's name, which is the bus's."""
    event_types: tuple[str, ...]
    """Those the rule takes, by their names in snapshots."""
    thin_events: bool = False
    """Whether the functions settle thin events too."""
    endpoint: str | None
    """How the address of the webhook's API begins; None without a webhook."""


def find_api_key(
    configurations: Iterable[Mapping[str, Any]], secrets: Callable[[], Client]
) -> tuple[str, str | None] | None:
    """Return an API key and the address of Stripe's API, None for Stripe's own; None without a key.

    Args:
        configurations: of the stack's functions, as Lambda returns them.
        secrets: makes a client of Secrets Manager.

    Raises:
        ClientError, BotoCoreError: the stack's secret may not be read.
    """
    variables = list(map(_variables, configurations))
    holder = next((each for each in variables if _SECRET_ARN in each), {})
    base = os.environ.get("STRIPE_API_BASE") or holder.get("STRIPE_API_BASE")
    if key := os.environ.get("STRIPE_API_KEY"):
        return key.strip(), base
    if arn := holder.get(_SECRET_ARN):
        key = _secret(secrets(), arn).get("api_key")
        return (key.strip(), base) if isinstance(key, str) else None
    return None


class StripeRefusedError(Exception):
    """Stripe was not asked, or did not say; why, without anything secret or personal."""


def require_mode(key: str, *, livemode: bool) -> None:
    """Refuse an API key that is of the other mode than the stack, or of none.

    Raises:
        StripeRefusedError: it is; the message says what to set.
    """
    mode = _LIVE_KEYS.get(key[:7])
    if mode is not livemode:
        has = {True: "of live mode", False: "of test mode", None: "no secret or restricted key"}
        stack = "live" if livemode else "test"
        raise StripeRefusedError(
            f"the API key is {has[mode]}. Set STRIPE_API_KEY to one of the stack's, {stack} mode."
        )


class StripeUnknownIdError(StripeRefusedError):
    """Stripe knows no such object, in the key's mode and account."""


@contextmanager
def open_stripe(key: str, base: str | None) -> Iterator[Any]:
    """Yield Stripe's client; every error of it is raised as one sentence.

    Args:
        key: the API key.
        base: the address of Stripe's API; None for Stripe's own.

    Raises:
        StripeUnknownIdError: there is no such object.
        StripeRefusedError: the library is missing, or Stripe refused or was not reached.
    """
    try:
        import stripe
    except ImportError:
        text = "Stripe's library is missing: pip install 'stripe-settlement[cli]'"
        raise StripeRefusedError(text) from None
    addresses: Any = {"api": base} if base else {}
    try:
        yield stripe.StripeClient(key, base_addresses=addresses, max_network_retries=2)
    except stripe.PermissionError:
        raise StripeRefusedError(f"the API key may not. Set {_NEEDS}.") from None
    except stripe.AuthenticationError:
        raise StripeRefusedError(f"Stripe does not know the API key. Set {_NEEDS}.") from None
    except stripe.StripeError as error:
        if error.http_status == HTTPStatus.NOT_FOUND:
            raise StripeUnknownIdError("there is no such object") from None
        # Its message may quote the request; its class never does.
        raise StripeRefusedError(f"{type(error).__name__}; see status.stripe.com") from None


def find_signing_secret(
    configurations: Iterable[Mapping[str, Any]], secrets: Callable[[], Client]
) -> str | None:
    """Return the newest signing secret of the webhook endpoint; None if the stack has none.

    Raises:
        ClientError, BotoCoreError: the stack's secret may not be read.
    """
    for each in map(_variables, configurations):
        if arn := each.get(_SIGNING_SECRET_ARN):
            value = _secret(secrets(), arn).get("webhook_secret")
            return value.split(",")[0].strip() if isinstance(value, str) else None
    return None


def settles_thin_events(configurations: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the functions have a key to fetch the sessions of thin events with."""
    return any(_THIN_EVENTS_KEY in each for each in map(_variables, configurations))


def _variables(configuration: Mapping[str, Any]) -> dict[str, str]:
    return dict(configuration.get("Environment", {}).get("Variables", {}))


def _secret(client: Client, arn: str) -> dict[str, Any]:
    text = client.get_secret_value(SecretId=arn).get("SecretString", "")
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class StripeSide:
    """What is registered at Stripe, asked for once."""

    def __init__(self, key: str | None, base: str | None, expected: Expected) -> None:
        """
        Args:
            key: the API key; None if there is none.
            base: the address of Stripe's API; None for Stripe's own.
            expected: what the stack expects.
        """
        self._key = key
        self._base = base
        self._expected = expected

    def destination(self) -> Finding:
        """Check the event destination that feeds the bus."""
        if not self._expected.event_source.startswith("aws.partner/"):
            text = (
                f"Stripe: its events do not reach the bus {self._expected.event_source} by itself"
            )
            return Finding(State.ADVICE, text, "Only a forwarder of yours puts them there.")
        return self._asked("destination", self._destination)

    def endpoint(self) -> Finding:
        """Check the endpoint that calls the webhook."""
        return self._asked("endpoint", self._endpoint)

    def _asked(self, what: str, look: Callable[[Any], Finding]) -> Finding:
        """Return what Stripe says, or why it was not asked."""
        if self._key is None:
            text = f"Stripe: {what} not looked at, there is no API key"
            return Finding(State.UNKNOWN, text, f"Set {_NEEDS}.")
        mode = _LIVE_KEYS.get(self._key[:7])
        if mode is None or self._expected.livemode not in (None, mode):
            has = {True: "live mode", False: "test mode", None: "no secret and no restricted key"}
            text = f"Stripe: {what} not looked at, the API key is of {has[mode]}"
            if mode is None:
                text = f"Stripe: {what} not looked at, STRIPE_API_KEY is {has[mode]}"
            return Finding(State.UNKNOWN, text, "Set STRIPE_API_KEY to one of the stack's mode.")
        try:
            with open_stripe(self._key, self._base) as client:
                return look(client)
        except StripeRefusedError as error:
            reason, _, hint = str(error).partition(". ")
            return Finding(State.UNKNOWN, f"Stripe: {what} not looked at, {reason}", hint)

    def _destination(self, client: Any) -> Finding:
        source = self._expected.event_source
        found = next(
            (
                each
                for each in client.v2.core.event_destinations.list().auto_paging_iter()
                if each.type == "amazon_eventbridge"
                and each.amazon_eventbridge.aws_event_source_arn.endswith(f"/{source}")
            ),
            None,
        )
        if found is None:
            return Finding(
                State.BROKEN,
                f"Stripe: no destination for the event source {source}",
                f"{_WORKBENCH}, add an Amazon EventBridge destination and deploy its event source. "
                f"{_ROLL} {_MISSED}",
            )
        broken = _disabled("destination", found.id, found.status) or self._payload(found)
        status = found.amazon_eventbridge.aws_event_source_status
        if broken is None and status != "active":
            broken = Finding(
                State.BROKEN,
                f"Stripe: destination {found.id}: its event source is {printable(status)}",
                "npx cdk deploy --revert-drift makes its bus again. An event source that was "
                "deleted needs a new destination.",
            )
        return broken or self._types("destination", found)

    def _endpoint(self, client: Any) -> Finding:
        address = self._expected.endpoint or ""
        registered = [
            each
            for each in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()
            if address and each.url.startswith(address)
        ]
        registered = registered or [
            each
            for each in client.v2.core.event_destinations.list(
                {"include": ["webhook_endpoint.url"]}
            ).auto_paging_iter()
            if address
            and each.type == "webhook_endpoint"
            and each.webhook_endpoint.url.startswith(address)
        ]
        # One that was disabled on purpose may be left beside its successor.
        registered.sort(key=lambda each: each.status != "enabled")
        if not registered:
            return Finding(
                State.BROKEN,
                "Stripe: no endpoint has this stack's URL",
                f"{_WORKBENCH}, add the stack's output WebhookUrl, and put its signing secret into "
                f"webhook_secret of the Stripe secret. {_ROLL}",
            )
        found = registered[0]
        broken = _disabled("endpoint", found.id, found.status) or self._payload(found)
        return broken or self._types("endpoint", found)

    def _payload(self, found: Any) -> Finding | None:
        """Return what is wrong with the payload of a destination, if anything is."""
        if not _is_thin(found) or self._expected.thin_events:
            return None
        return Finding(
            State.BROKEN,
            f"Stripe: destination {found.id} sends thin events, which carry no session",
            f"{_WORKBENCH}, make one with the payload style snapshot, or deploy with "
            f"thin_events_key_secret. {_MISSED}",
        )

    def _types(self, what: str, found: Any) -> Finding:
        wanted = self._expected.event_types
        if _is_thin(found):
            wanted = tuple(f"{THIN}{name}" for name in wanted)
        return _types(what, found.id, found.enabled_events, wanted)


def _is_thin(found: Any) -> bool:
    """Whether it sends thin events; an endpoint of v1 has no choice."""
    return getattr(found, "event_payload", None) == "thin"


def _disabled(what: str, id_: str, status: str) -> Finding | None:
    if status == "enabled":
        return None
    text = f"Stripe: {what} {id_} is {printable(status)}: it sends nothing"
    return Finding(State.BROKEN, text, f"{_WORKBENCH}, enable it. {_MISSED}")


def _types(what: str, id_: str, enabled: Sequence[str], wanted: Sequence[str]) -> Finding:
    missing = [] if "*" in enabled else sorted(set(wanted) - set(enabled))
    total = len(wanted)
    text = f"Stripe: {what} {id_} enabled, {total - len(missing)} of {total} types"
    if not missing:
        return Finding(State.WELL, text)
    names = ", ".join(missing)
    return Finding(
        State.BROKEN, f"{text}: {names} missing", f"{_WORKBENCH}, add {names}. {_MISSED}"
    )


def probe(url: str, signing_secret: str | None) -> Finding:
    """Post an event of no interest, signed, and a forged one; neither settles anything.

    Args:
        url: the webhook's address.
        signing_secret: the endpoint's; None if there is none to sign with.
    """
    if signing_secret is None:
        text = "webhook not probed: there is no signing secret to sign with"
        return Finding(State.UNKNOWN, text, "Put the endpoint's into webhook_secret.")
    try:
        signed = _post(url, signing_secret)
        forged = _post(url, f"whsec_{uuid.uuid4().hex}")
    except OSError as error:
        text = f"webhook not reached: {type(error).__name__}"
        return Finding(State.BROKEN, text, "npx cdk deploy --revert-drift; then its log.")
    text = f"webhook answers {signed} to a signed event of no interest, {forged} to a forged one"
    if (signed, forged) == ("200 ignored", "400 unauthenticated"):
        return Finding(State.WELL, text)
    return Finding(
        State.BROKEN, text, "See 'Webhook: 5XX responses' and 'signature failures' in the runbook."
    )


def _post(url: str, secret: str) -> str:
    """Return the status and the outcome."""
    now = int(time.time())
    event = {
        "id": f"evt_probe{uuid.uuid4().hex}",
        "object": "event",
        "type": "stripe_settlement.probe",
        "created": now,
        "livemode": False,
        "data": {"object": {}},
    }
    body = json.dumps(event)
    digest = hmac.new(secret.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(  # noqa: S310 - the stack's own address, or the operator's
        url,
        data=body.encode(),
        headers={"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={digest}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS) as response:  # noqa: S310
            status, answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, answer = error.code, error.read()
    try:
        outcome = printable(json.loads(answer)["outcome"])
    except (ValueError, KeyError, TypeError):
        outcome = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return f"{status} {outcome}".strip()
