"""What happens at Stripe without a request of its API: buyers pay, secrets are rolled, things fail.

In Python these are methods of a running server; from another process the same by name, with a JSON
object of the arguments, at `POST /_fake/<name>`: see `call`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import urllib3

from local.fake_stripe.account import Account, Json, Mode, new_secret
from local.fake_stripe.checkout import Checkout
from local.fake_stripe.delivery import Deliveries
from local.fake_stripe.errors import ApiError
from local.fake_stripe.faults import Fault, Faults

PREFIX: Final = "/_fake/"
_DAY: Final = 86_400.0


class ControlError(RuntimeError):
    """The mock did not do what it was told; the message says why."""


class Control:
    """The control calls. `livemode` chooses the mode everywhere; test mode unless given."""

    def __init__(
        self,
        account: Account,
        checkout: Checkout,
        deliveries: Deliveries,
        faults: Faults,
        lock: threading.RLock,
    ) -> None:
        self._account = account
        self._checkout = checkout
        self._deliveries = deliveries
        self._faults = faults
        self._lock = lock
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often each (method, path) was requested of the API."""

    def create_checkout(
        self,
        *,
        amount: int,
        currency: str = "eur",
        metadata: dict[str, str] | None = None,
        livemode: bool = False,
    ) -> Json:
        """Create an open session, as the shop would. Return it.

        Args:
            amount: the total, in minor units.
            currency: ISO 4217.
            metadata: of the session, such as the order's number.
            livemode: which mode.
        """
        product = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Tickets"}}
        parameters = {
            "mode": "payment",
            "line_items": [{"price_data": product, "quantity": 1}],
            "metadata": metadata or {},
        }
        with self._lock:
            return dict(self._checkout.create(self._mode(livemode), parameters))

    def pay(
        self,
        session: str,
        *,
        paid: bool = True,
        created: int | None = None,
        deliver: bool = True,
        livemode: bool = False,
    ) -> Json:
        """Complete an open session, as its buyer does. Return the event.

        Args:
            session: its id.
            paid: False for a method that pays later; then `settle_later`.
            created: when, in epoch seconds; now unless given.
            deliver: False if all deliveries of the event are lost.
            livemode: which mode.
        """
        with self._lock:
            return self._checkout.complete(
                self._mode(livemode), session, paid=paid, created=created, deliver=deliver
            )

    def create_paid_checkout(
        self,
        *,
        amount: int,
        currency: str = "eur",
        metadata: dict[str, str] | None = None,
        created: int | None = None,
        deliver: bool = True,
        livemode: bool = False,
    ) -> Json:
        """Create a session and pay it. Return the event. Arguments as of those two."""
        session = self.create_checkout(
            amount=amount, currency=currency, metadata=metadata, livemode=livemode
        )
        return self.pay(session["id"], created=created, deliver=deliver, livemode=livemode)

    def settle_later(
        self,
        session: str,
        *,
        succeeded: bool = True,
        created: int | None = None,
        deliver: bool = True,
        livemode: bool = False,
    ) -> Json:
        """End a payment that was to come later, well or badly. Return the event."""
        with self._lock:
            return self._checkout.settle_later(
                self._mode(livemode),
                session,
                succeeded=succeeded,
                created=created,
                deliver=deliver,
            )

    def refund(
        self, payment_intent: str, *, amount: int | None = None, livemode: bool = False
    ) -> Json:
        """Refund a payment, as a person does in the dashboard. Return the refund."""
        parameters: Json = {"payment_intent": payment_intent}
        if amount is not None:
            parameters["amount"] = amount
        with self._lock:
            return self._checkout.refund(self._mode(livemode), parameters)

    def deliver(self, event: str, *, target: str | None = None, livemode: bool = False) -> None:
        """Have an event delivered with retries, to all that want it or to one of them.

        Args:
            event: id of a snapshot event.
            target: id of a webhook endpoint or an event destination.
            livemode: which mode.
        """
        mode = self._mode(livemode)
        with self._lock:
            self._deliveries.send(mode, *self._both_payloads(mode, event), only=target)

    def resend(
        self, event: str, *, target: str | None = None, livemode: bool = False
    ) -> list[Json]:
        """Deliver an event once, as a person does in the dashboard; return the attempts.

        Arguments as of `deliver`.
        """
        mode = self._mode(livemode)
        with self._lock:
            snapshot, thin = self._both_payloads(mode, event)
        attempts = self._deliveries.resend(mode, snapshot, thin, only=target)
        return [asdict(attempt) for attempt in attempts]

    def roll_secret(
        self, endpoint: str, *, overlap_seconds: float = _DAY, livemode: bool = False
    ) -> str:
        """Give a webhook a new signing secret, as the dashboard does. Return it.

        Args:
            endpoint: id of a webhook endpoint, or of an event destination of that type.
            overlap_seconds: how long the old one goes on signing beside it.
            livemode: which mode.
        """
        secret = new_secret()
        with self._lock:
            secrets = self._mode(livemode).secrets[endpoint]
            end = time.time() + overlap_seconds
            for old in secrets:
                old.expires = min(old.expires, end)
            secrets.append(secret)
        return secret.value

    def add_key(self, *, livemode: bool = False, permissions: Iterable[str] | None = None) -> str:
        """Return a new API key; a restricted one with permissions such as `webhook_write`."""
        with self._lock:
            return self._account.add_key(livemode=livemode, permissions=permissions)

    def revoke_key(self, key: str) -> None:
        """Make an API key unknown."""
        with self._lock:
            self._account.revoke_key(key)

    def inject(self, **fault: Any) -> None:
        """Order a fault: the arguments are the fields of `faults.Fault`."""
        self._faults.add(Fault(**fault))

    def clear_faults(self) -> None:
        """End all faults."""
        self._faults.clear()

    def registered(self) -> list[Json]:
        """Return what is registered for events in either mode, the oldest first, in short."""
        with self._lock:
            return [
                _in_short(target)
                for mode in (self._account.test, self._account.live)
                for target in (*mode.webhook_endpoints.values(), *mode.destinations.values())
            ]

    def attempts(self, *, event: str | None = None) -> list[Json]:
        """Return the attempts to deliver, the oldest first: the fields of `delivery.Attempt`.

        Args:
            event: id of the one event that is asked about; all of them unless given.
        """
        attempts = list(self._deliveries.attempts)
        return [asdict(attempt) for attempt in attempts if event in (None, attempt.event)]

    def wait_until_delivered(self, *, seconds: float = 60.0) -> None:
        """Return once nothing is left to deliver. Raises TimeoutError after `seconds`."""
        self._deliveries.wait_until_idle(seconds)

    def request_count(self, *, method: str, path: str) -> int:
        """Return how often the API was asked that, whatever it answered."""
        return self.requests[method, path]

    def _both_payloads(self, mode: Mode, event: str) -> tuple[Json, Json]:
        """Return the snapshot event of this id, and the thin one of the same."""
        thin = next(each for each in mode.thin_events.values() if each["snapshot_event"] == event)
        return mode.events[event], thin

    def _mode(self, livemode: bool) -> Mode:
        return self._account.live if livemode else self._account.test


CALLS: Final = frozenset(
    name for name in vars(Control) if not name.startswith("_") and callable(vars(Control)[name])
)
"""Names of the control calls."""


def dispatch(control: Control, name: str, body: str) -> tuple[int, Any]:
    """Carry out a control call that came over HTTP. Return its status and its JSON."""
    if name not in CALLS:
        return 404, {"problem": f"No control call {name!r}. There are: {', '.join(sorted(CALLS))}."}
    try:
        arguments = json.loads(body or "{}")
        positional = arguments.pop("args", [])
        return 200, {"result": getattr(control, name)(*positional, **arguments)}
    except ApiError as error:
        return error.status, {"problem": error.message}
    except (TypeError, ValueError, KeyError, StopIteration, TimeoutError) as error:
        return 400, {"problem": f"{type(error).__name__}: {error}"}


def call(url: str, name: str, *args: Any, **arguments: Any) -> Any:
    """Carry out a control call at a server in another process. Return its result.

    Args:
        url: of the server.
        name: of a method of `Control`.
        *args: as of the method.
        **arguments: as of the method.

    Raises:
        ControlError: the call was refused; says why.
    """
    response = urllib3.request(
        "POST",
        url + PREFIX + name,
        body=json.dumps({"args": args, **arguments}),
        timeout=arguments.get("seconds", 0) + 60,
        retries=False,
    )
    answer = json.loads(response.data)
    if response.status != 200:
        raise ControlError(f"{name}: {answer['problem']}")
    return answer["result"]


def _in_short(target: Json) -> Json:
    webhook = target.get("webhook_endpoint") or target
    place = target.get("amazon_eventbridge") or {}
    return {
        "id": target["id"],
        "livemode": target["livemode"],
        "status": target["status"],
        "enabled_events": list(target["enabled_events"]),
        "to": place.get("aws_event_source_arn") or webhook["url"],
    }
