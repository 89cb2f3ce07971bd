"""The third net: ask Stripe what happened, and settle what neither route has brought.

Pure: which events to settle, and how far the watermark may move. Stripe lists events from the
newest to the oldest, and the watermark must not pass one that is not committed; so a window is
listed to its end first, and what the ledger does not know is settled from its oldest on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from settlement.domain.outcomes import Outcome
from settlement.errors import (
    OrderNotYetKnown,
    RejectedDelivery,
    StatementRefused,
    StripeUnavailable,
    UnexpectedFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from settlement.domain.clock import Deadline
    from settlement.domain.outcomes import Result
    from settlement.errors import SettlementError

    Settle = Callable[[Sequence[object]], Iterable[tuple[int, Result]]]

MAX_BACKLOG: Final = 20_000
"""Events held at once: the oldest ones. The others are listed again by the next round."""

LISTING_SHARE: Final = 0.5
"""Of the time left, for listing; the rest is for settling what was found."""

AT_ONCE: Final = 50
"""Events settled in one transaction, as in on-sale mode."""

RESERVE_SECONDS: Final = 3.0
"""Kept back to record how far the run came."""

_ONE_EVENTS = (OrderNotYetKnown, RejectedDelivery, StatementRefused, UnexpectedFailure)
"""Errors that say nothing of the next event; after any other, it would end in the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far back a run looks, and which events it leaves to the routes."""

    young_after: timedelta = timedelta(minutes=10)
    """Events younger than this are left to the routes."""
    overlap: timedelta = timedelta(minutes=5)
    """Listed again before the watermark: Stripe's list may show an event late."""
    look_back: timedelta = timedelta(days=3)
    """Of the first run. Stripe keeps events for 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far reconciliation has come."""

    watermark: datetime
    """Whatever Stripe created before is committed."""
    listed_from: datetime | None = None
    """Set when time ran out while listing: from here on all was listed, older ones were not."""


class Window(NamedTuple):
    """The events to list, both ends included; whole seconds, as Stripe counts them."""

    since: datetime
    until: datetime


class ListedEvent(NamedTuple):
    """An event of Stripe's list."""

    id: str
    session_id: str | None
    created: datetime
    value: object
    """The plain Event object."""


class Page(NamedTuple):
    """Up to 100 events, the newest first."""

    events: Sequence[ListedEvent]
    has_more: bool


class StripeEvents(Protocol):
    """Where Stripe's events are listed."""

    def list_events(self, window: Window, after: str | None, deadline: Deadline) -> Page:
        """Return the next page of our types, after the event of that id.

        Raises:
            StripeUnavailable: no page before the deadline.
        """


class ReconciliationLedger(Protocol):
    """What the ledger knows. Every method raises ``RetryableError``."""

    def read_progress(self, deadline: Deadline) -> Progress | None:
        """Return how far the last run came; ``None`` before the first."""

    def keep_progress(self, progress: Progress, deadline: Deadline) -> None:
        """Record how far this run has come."""

    def known(self, events: Sequence[ListedEvent], deadline: Deadline) -> set[str]:
        """Return the ids of those that are settled, or recorded as anomaly or awaiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run has done."""

    progress: Progress
    listed: int = 0
    handled: int = 0
    """Events that the ledger did not know and that are committed now."""
    settled: int = 0
    """Orders among them that neither route had settled."""
    failed: int = 0
    caught_up: bool = False
    error: SettlementError | None = None
    """Why the watermark could not move on, if not for want of time."""

    def lag(self, now: datetime) -> timedelta:
        """Return how old the watermark is."""
        return max(now - self.progress.watermark, timedelta(0))


def event_of(value: dict[str, Any]) -> ListedEvent:
    """Return what reconciliation reads of an Event object of Stripe's list."""
    session = value["data"]["object"].get("id")
    created = datetime.fromtimestamp(value["created"], UTC)
    return ListedEvent(value["id"], session if isinstance(session, str) else None, created, value)


def next_window(progress: Progress, limits: Limits, now: datetime) -> Window:
    """Return what to list next: empty (``since`` after ``until``) if all is too young."""
    newest = now - limits.young_after
    until = min(progress.listed_from or newest, newest)
    return Window(
        (progress.watermark - limits.overlap).replace(microsecond=0), until.replace(microsecond=0)
    )


class Backlog:
    """What one window's listing has found that the ledger does not know."""

    def __init__(self, window: Window, *, maximum: int = MAX_BACKLOG) -> None:
        self._window = window
        self._waiting: deque[ListedEvent] = deque(maxlen=maximum)
        self._passed_over: datetime | None = None
        self._oldest_listed: datetime | None = None
        self.complete = False
        """Whether the window was listed to its end."""

    def add(self, page: Page, known: set[str]) -> None:
        """Take in the next page; of more than fits, the newest go."""
        for event in page.events:
            self._oldest_listed = event.created
            if event.id in known:
                continue
            if len(self._waiting) == self._waiting.maxlen:
                self._passed_over = self._waiting[0].created
            self._waiting.append(event)
        self.complete = not page.has_more

    def oldest_first(self) -> list[ListedEvent]:
        """Return what waits, in the order in which it happened."""
        return list(reversed(self._waiting))

    def progress(self, before: Progress, uncommitted: datetime | None) -> Progress:
        """Return how far the watermark may move.

        Args:
            before: where it was.
            uncommitted: creation of the oldest event that is not committed, if any.
        """
        if not self.complete:
            return replace(before, listed_from=self._oldest_listed or before.listed_from)
        limits = (self._window.until, uncommitted, self._passed_over)
        reached = min(limit for limit in limits if limit is not None)
        return Progress(watermark=max(before.watermark, reached))


def reconcile(
    stripe: StripeEvents,
    ledger: ReconciliationLedger,
    settle: Settle,
    *,
    limits: Limits,
    now: datetime,
    deadline: Deadline,
) -> Run:
    """Settle what neither route has brought, as far as the time allows.

    Args:
        stripe: where events are listed.
        ledger: what is known of them, and where the watermark is kept.
        settle: takes Event objects to their outcomes; gives the place of each and its result.
        limits: how far back, and up to when.
        now: aware.
        deadline: of the run.

    Raises:
        RetryableError: the ledger could not be asked, or not be told how far the run came.
    """
    progress = ledger.read_progress(deadline)
    if progress is None:
        # Kept before anything can fail, or the first outage would move it along.
        progress = Progress(watermark=now - limits.look_back)
        ledger.keep_progress(progress, deadline)
    run = Run(progress=progress)
    while not run.caught_up and run.error is None and deadline.remaining() > RESERVE_SECONDS:
        before = run.progress
        window = next_window(before, limits, now)
        run = _reconcile_window(window, run, stripe, ledger, settle, deadline)
        if run.progress != before:
            ledger.keep_progress(run.progress, deadline)
        elif run.error is None and not run.caught_up:
            break  # no time for even the first event
        run = replace(run, caught_up=_is_caught_up(run.progress, limits, now))
    return run


def _is_caught_up(progress: Progress, limits: Limits, now: datetime) -> bool:
    newest = (now - limits.young_after).replace(microsecond=0)
    return progress.listed_from is None and progress.watermark >= newest


def _reconcile_window(
    window: Window,
    run: Run,
    stripe: StripeEvents,
    ledger: ReconciliationLedger,
    settle: Settle,
    deadline: Deadline,
) -> Run:
    backlog, error = Backlog(window), None
    listed, after = run.listed, None
    until = deadline.remaining() * (1 - LISTING_SHARE)
    while not backlog.complete and deadline.remaining() > until:
        try:
            page = stripe.list_events(window, after, deadline)
        except StripeUnavailable as failure:
            error = failure
            break
        known = ledger.known(page.events, deadline) if page.events else set()
        backlog.add(page, known)
        listed += len(page.events)
        after = page.events[-1].id if page.events else None
    run = replace(run, listed=listed, error=error)
    waiting = backlog.oldest_first()
    run, committed = _settle_all(waiting, run, settle, deadline)
    uncommitted = next((each.created for each in waiting if each.id not in committed), None)
    return replace(run, progress=backlog.progress(run.progress, uncommitted))


def _settle_all(
    waiting: Sequence[ListedEvent], run: Run, settle: Settle, deadline: Deadline
) -> tuple[Run, set[str]]:
    """Settle batch by batch, as long as there is time and the next one may fare better.

    Returns:
        The run with what came of them, and the ids of those that are committed.
    """
    committed: set[str] = set()
    for start in range(0, len(waiting), AT_ONCE):
        if deadline.remaining() <= RESERVE_SECONDS:
            break
        batch = waiting[start : start + AT_ONCE]
        for place, result in settle([event.value for event in batch]):
            run = _count(run, result)
            if result.error is None:
                committed.add(batch[place].id)
            elif not isinstance(result.error, _ONE_EVENTS):
                return run, committed
            if deadline.remaining() <= RESERVE_SECONDS:
                break
    return run, committed


def _count(run: Run, result: Result) -> Run:
    if result.error is not None:
        # An order that may still come is waited for, which is no failure of the run.
        error = None if isinstance(result.error, OrderNotYetKnown) else result.error
        return replace(run, failed=run.failed + 1, error=run.error or error)
    settled = result.outcome is Outcome.SETTLED
    return replace(run, handled=run.handled + 1, settled=run.settled + settled)
