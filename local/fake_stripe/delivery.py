"""Deliveries: each event goes to every webhook and every event destination that wants it.

A webhook is signed anew for each attempt, by every secret that is valid then; what is not a 2xx is
tried again. Source: Stripe docs, "Receive Stripe events in your webhook endpoint", "Retry behavior"
and "Roll endpoint secrets".
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import urllib3
from stripe import WebhookSignature

from local.fake_stripe.account import API_VERSION, Json, Mode, Secret
from local.fake_stripe.event_destinations import PING, source_name
from local.fake_stripe.partner_events import PartnerEvents

_WORKERS: Final = 4
WEBHOOK_SECONDS: Final = 40.0
"""For an answer: longer than API Gateway waits for a function."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to deliver an event."""

    event: str
    """Its id."""
    target: str
    """Id of the webhook endpoint or event destination."""
    number: int
    """1 for the first."""
    status: int | None
    """The webhook's HTTP status; None for EventBridge, and when nobody answered."""
    problem: str | None
    """Why it was no success; None for one."""
    answer: str | None = None
    """The webhook's body; None for EventBridge, and when nobody answered."""


@dataclass(frozen=True, kw_only=True)
class _Delivery:
    mode: Mode
    event: Json
    target: str
    number: int = 1


class Deliveries:
    """Delivers in threads of its own. It is idle once nothing is left to try."""

    def __init__(
        self,
        partner_events: PartnerEvents,
        *,
        lock: threading.RLock,
        retry_seconds: Sequence[float],
        resolve_url: Callable[[str], str],
    ) -> None:
        """
        Args:
            partner_events: Stripe's side at AWS.
            lock: held to look at or change the account.
            retry_seconds: the wait before each further attempt; as many attempts as it has waits.
            resolve_url: from the URL of an endpoint to where it is reached on this machine.
        """
        self._partner_events = partner_events
        self._account_lock = lock
        self._retry_seconds = retry_seconds
        self._resolve_url = resolve_url
        self._http = urllib3.PoolManager(maxsize=_WORKERS, retries=False)
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, _Delivery]] = []
        self._order = itertools.count()
        self._in_flight = 0
        self._stopped = False
        self.attempts: list[Attempt] = []
        """All so far, the oldest first."""
        self._threads = [
            threading.Thread(target=self._work, name=f"fake-stripe-{number}", daemon=True)
            for number in range(_WORKERS)
        ]

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the attempts that are in flight. What waits for a retry is dropped."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(WEBHOOK_SECONDS)
        self._http.clear()

    def send(
        self, mode: Mode, snapshot: Json | None, thin: Json, *, only: str | None = None
    ) -> None:
        """Deliver an event to whatever is registered for it now, or to `only` one of them.

        The account's lock is held by the caller.
        """
        for delivery in _deliveries(mode, snapshot, thin, only):
            if delivery.event["object"] == "event" and delivery.target in mode.secrets:
                mode.undelivered.setdefault(delivery.event["id"], set()).add(delivery.target)
            self._enqueue(delivery, 0.0)

    def resend(
        self, mode: Mode, snapshot: Json, thin: Json, *, only: str | None = None
    ) -> list[Attempt]:
        """Deliver an event now, to all that want it or to `only` one; return the attempts.

        What fails is not tried again.
        """
        with self._account_lock:
            deliveries = list(_deliveries(mode, snapshot, thin, only))
        attempts = [attempt for each in deliveries if (attempt := self._try(each)) is not None]
        with self._changed:
            self.attempts.extend(attempts)
        return attempts

    def wait_until_idle(self, seconds: float) -> None:
        """Return once nothing is left to deliver, retries included.

        Raises:
            TimeoutError: that took longer than `seconds`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._queue and not self._in_flight, seconds):
                left = len(self._queue) + self._in_flight
                raise TimeoutError(f"Waited {seconds:g} s in vain: {left} deliveries are left.")

    def _enqueue(self, delivery: _Delivery, wait: float) -> None:
        with self._changed:
            if not self._stopped:
                heapq.heappush(self._queue, (time.monotonic() + wait, next(self._order), delivery))
                self._changed.notify_all()

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            attempt = self._try(delivery)
            if attempt is not None and attempt.problem is not None:
                waits = self._retry_seconds[delivery.number - 1 :]
                if waits:
                    self._enqueue(replace(delivery, number=delivery.number + 1), waits[0])
            with self._changed:
                if attempt is not None:
                    self.attempts.append(attempt)
                self._in_flight -= 1
                self._changed.notify_all()

    def _next(self) -> _Delivery | None:
        """Return the next delivery once it is due; None when it is time to end."""
        with self._changed:
            while not self._stopped:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    self._in_flight += 1
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(wait)
        return None

    def _try(self, delivery: _Delivery) -> Attempt | None:
        """One attempt; None if the target has been deleted or disabled meanwhile."""
        mode, event, target = delivery.mode, delivery.event, delivery.target
        with self._account_lock:
            endpoint = mode.webhook_endpoints.get(target) or mode.destinations.get(target)
            if endpoint is None or endpoint["status"] != "enabled":
                return None
            url = endpoint.get("url") or (endpoint.get("webhook_endpoint") or {}).get("url")
            secrets = list(mode.secrets.get(target, ()))
        if url is None:
            status, problem, answer = None, self._put(source_name(endpoint), event), None
        else:
            status, problem, answer = self._post(url, event, secrets)
        if problem is None and url is not None:
            with self._account_lock:
                mode.undelivered.get(event["id"], set()).discard(target)
        return Attempt(
            event=event["id"],
            target=target,
            number=delivery.number,
            status=status,
            problem=problem,
            answer=answer,
        )

    def _put(self, source: str, event: Json) -> str | None:
        try:
            self._partner_events.put(source, event)
        except Exception as error:  # noqa: BLE001 - whatever it was, Stripe would try again
            return f"{type(error).__name__}: {error}"
        return None

    def _post(
        self, url: str, event: Json, secrets: list[Secret]
    ) -> tuple[int | None, str | None, str | None]:
        body = json.dumps(event, indent=2)
        try:
            response = self._http.request(
                "POST",
                self._resolve_url(url),
                body=body.encode(),
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    "Stripe-Signature": sign(body, secrets),
                    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                },
                timeout=WEBHOOK_SECONDS,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            return None, type(error).__name__, None
        succeeded = 200 <= response.status < 300
        problem = None if succeeded else f"HTTP {response.status}"
        return response.status, problem, response.data.decode(errors="replace")


def sign(body: str, secrets: Iterable[Secret], moment: float | None = None) -> str:
    """Return the `Stripe-Signature` of a body: one `v1` for each secret that is valid.

    Args:
        body: what is posted.
        secrets: of the endpoint.
        moment: epoch seconds; now unless given.
    """
    at = time.time() if moment is None else moment
    headers = [
        WebhookSignature.generate_signature_header(body, secret.value, timestamp=int(at))
        for secret in secrets
        if secret.expires > at
    ]
    first, *others = headers or [f"t={int(at)}"]
    return ",".join([first, *(header.partition(",")[2] for header in others)])


def _deliveries(
    mode: Mode, snapshot: Json | None, thin: Json, only: str | None
) -> Iterator[_Delivery]:
    for target, event in _targets(mode, snapshot, thin):
        if only in (None, target):
            yield _Delivery(mode=mode, event=event, target=target)


def _targets(mode: Mode, snapshot: Json | None, thin: Json) -> Iterator[tuple[str, Json]]:
    """(target, what it gets) of each that is enabled for the event."""
    for id_, endpoint in (mode.webhook_endpoints if snapshot else {}).items():
        if snapshot and _wants(endpoint, snapshot):
            yield id_, {**snapshot, "api_version": endpoint["api_version"] or API_VERSION}
    for id_, destination in mode.destinations.items():
        if thin["type"] == PING:
            if thin["related_object"]["id"] == id_:
                yield id_, thin
        elif destination["event_payload"] == "thin":
            if _wants(destination, thin):
                yield id_, {name: value for name, value in thin.items() if name != "changes"}
        elif snapshot and _wants(destination, snapshot):
            yield id_, {**snapshot, "api_version": destination["snapshot_api_version"]}


def _wants(endpoint: Json, event: Json) -> bool:
    wanted = {"*", event["type"]} & set(endpoint["enabled_events"])
    return endpoint["status"] == "enabled" and bool(wanted)
