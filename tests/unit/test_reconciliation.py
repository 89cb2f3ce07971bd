"""Which events reconciliation settles, and how far its watermark moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Outcome, Result
from settlement.domain.reconciliation import (
    Backlog,
    Limits,
    ListedEvent,
    Page,
    Progress,
    Run,
    Window,
    next_window,
    reconcile,
)
from settlement.errors import (
    LedgerUnavailable,
    OrderNotYetKnown,
    SettlementError,
    StripeUnavailable,
    UnexpectedFailure,
)
from tests.support.invocations import NOW, plenty_of_time

LIMITS = Limits()
NEWEST = NOW - LIMITS.young_after
HOUR_AGO = NOW - timedelta(hours=1)


def event(number: int) -> ListedEvent:
    """The event of the minute of that number before now."""
    name = f"evt_{number}"
    return ListedEvent(name, f"cs_{number}", NOW - timedelta(minutes=number), name)


@dataclass
class Stripe:
    """Lists these events, in pages of two."""

    events: Sequence[ListedEvent]
    error_at_page: int | None = None
    pages: int = 0

    def list_events(self, window: Window, after: str | None, deadline: Deadline) -> Page:
        """See ``StripeEvents``."""
        self.pages += 1
        if self.pages == self.error_at_page:
            raise StripeUnavailable("away")
        found = [each for each in self.events if window.since <= each.created <= window.until]
        ids = [each.id for each in found]
        start = 0 if after is None else ids.index(after) + 1
        return Page(found[start : start + 2], start + 2 < len(found))


@dataclass
class Ledger:
    """Keeps the watermark, and what is settled, in memory."""

    progress: Progress | None = field(default_factory=lambda: Progress(watermark=HOUR_AGO))
    committed: set[str] = field(default_factory=set)
    kept: list[Progress] = field(default_factory=list)

    def read_progress(self, deadline: Deadline) -> Progress | None:
        """See ``ReconciliationLedger``."""
        return self.progress

    def keep_progress(self, progress: Progress, deadline: Deadline) -> None:
        """See ``ReconciliationLedger``."""
        self.progress = progress
        self.kept.append(progress)

    def known(self, events: Sequence[ListedEvent], deadline: Deadline) -> set[str]:
        """See ``ReconciliationLedger``."""
        return {each.id for each in events} & self.committed


@dataclass
class Settling:
    """Settles, but fails on some events; keeps the order in which it was asked."""

    ledger: Ledger
    errors: dict[str, SettlementError] = field(default_factory=dict)
    at_once: frozenset[str] = frozenset()
    """Settled together, before the others of their batch."""
    asked: list[str] = field(default_factory=list)

    def __call__(self, values: Sequence[object]) -> Iterator[tuple[int, Result]]:
        names = [str(value) for value in values]
        for place in sorted(range(len(names)), key=lambda place: names[place] not in self.at_once):
            yield place, self._settle(names[place])

    def _settle(self, name: str) -> Result:
        self.asked.append(name)
        if name in self.errors:
            return Result(outcome=Outcome.RETRY, error=self.errors[name])
        self.ledger.committed.add(name)
        return Result(outcome=Outcome.SETTLED)


def run(
    stripe: Stripe, settling: Settling, *, deadline: Deadline | None = None, now: datetime = NOW
) -> Run:
    return reconcile(
        stripe,
        settling.ledger,
        settling,
        limits=LIMITS,
        now=now,
        deadline=deadline or plenty_of_time(),
    )


def test_what_the_ledger_does_not_know_is_settled_the_oldest_first() -> None:
    settling = Settling(Ledger(committed={"evt_30"}))
    result = run(Stripe([event(number) for number in (20, 30, 40, 50)]), settling)
    assert settling.asked == ["evt_50", "evt_40", "evt_20"]
    assert (result.listed, result.settled, result.caught_up) == (4, 3, True)
    assert result.progress == Progress(watermark=NEWEST)


def test_the_young_are_left_to_the_routes() -> None:
    settling = Settling(Ledger())
    run(Stripe([event(5), event(9), event(11)]), settling)
    assert settling.asked == ["evt_11"]


def test_the_overlap_finds_what_the_list_showed_late() -> None:
    settling = Settling(Ledger(progress=Progress(watermark=NOW - timedelta(minutes=25))))
    run(Stripe([event(29), event(31)]), settling)
    assert settling.asked == ["evt_29"]


def test_a_first_run_looks_back_as_far_as_the_setting_says() -> None:
    ledger = Ledger(progress=None)
    run(Stripe([]), Settling(ledger))
    assert ledger.kept[0] == Progress(watermark=NOW - LIMITS.look_back)
    assert ledger.progress == Progress(watermark=NEWEST)


def test_a_first_run_that_reaches_nobody_fixes_where_the_next_one_begins() -> None:
    ledger = Ledger(progress=None)
    run(Stripe([event(4319)], error_at_page=1), Settling(ledger))
    settling = Settling(ledger)
    run(Stripe([event(4319)]), settling, now=NOW + timedelta(hours=5))
    assert settling.asked == ["evt_4319"]


@pytest.mark.parametrize("number", [20, 30, 40])
def test_the_watermark_stops_at_the_oldest_that_is_not_committed(number: int) -> None:
    name = f"evt_{number}"
    settling = Settling(Ledger(), errors={name: UnexpectedFailure("a defect")})
    result = run(Stripe([event(20), event(30), event(40)]), settling)
    assert result.progress == Progress(watermark=event(number).created)
    assert settling.asked == ["evt_40", "evt_30", "evt_20"]
    assert (result.settled, result.failed, result.caught_up) == (2, 1, False)
    assert isinstance(result.error, UnexpectedFailure)


def test_after_an_error_that_the_next_event_would_meet_nothing_more_is_tried() -> None:
    settling = Settling(Ledger(), errors={"evt_30": LedgerUnavailable("away")})
    result = run(Stripe([event(20), event(30), event(40)]), settling)
    assert settling.asked == ["evt_40", "evt_30"]
    assert result.progress == Progress(watermark=event(30).created)


def test_what_was_settled_at_once_counts_whatever_becomes_of_the_others() -> None:
    settling = Settling(
        Ledger(),
        errors={"evt_30": LedgerUnavailable("away")},
        at_once=frozenset({"evt_20", "evt_40"}),
    )
    result = run(Stripe([event(number) for number in (20, 30, 40, 50)]), settling)
    assert settling.asked == ["evt_40", "evt_20", "evt_50", "evt_30"]
    assert (result.settled, result.failed) == (3, 1)
    assert result.progress == Progress(watermark=event(30).created)


def test_events_are_settled_fifty_at_once() -> None:
    batches: list[int] = []

    def settle(events: Sequence[object]) -> Iterator[tuple[int, Result]]:
        batches.append(len(events))
        return ((place, Result(outcome=Outcome.SETTLED)) for place in range(len(events)))

    events = [ListedEvent(f"evt_{n}", f"cs_{n}", event(20).created, n) for n in range(120)]
    reconcile(Stripe(events), Ledger(), settle, limits=LIMITS, now=NOW, deadline=plenty_of_time())
    assert batches == [50, 50, 20]


def test_an_order_that_may_still_come_is_waited_for_without_an_error() -> None:
    settling = Settling(Ledger(), errors={"evt_20": OrderNotYetKnown("wait")})
    result = run(Stripe([event(20), event(30)]), settling)
    assert result.error is None
    assert result.progress == Progress(watermark=event(20).created)


def test_an_outage_of_stripe_leaves_no_gap() -> None:
    events = [event(number) for number in (20, 25, 30, 35, 40)]
    ledger = Ledger()
    first = run(Stripe(events, error_at_page=2), Settling(ledger))
    assert isinstance(first.error, StripeUnavailable)
    assert first.progress == Progress(watermark=HOUR_AGO, listed_from=event(25).created)
    second = run(Stripe(events), Settling(ledger))
    assert ledger.committed == {each.id for each in events}
    assert (second.settled, second.progress) == (3, Progress(watermark=NEWEST))


def test_an_outage_of_the_reconciler_leaves_no_gap() -> None:
    events = [event(number) for number in (20, 90, 250, 301)]
    ledger = Ledger(progress=Progress(watermark=NOW - timedelta(hours=5)))
    run(Stripe(events), Settling(ledger))
    assert ledger.committed == {each.id for each in events}
    assert ledger.progress == Progress(watermark=NEWEST)


def test_a_page_that_nobody_gave_moves_nothing() -> None:
    ledger = Ledger()
    run(Stripe([event(20)], error_at_page=1), Settling(ledger))
    assert ledger.kept == []


def test_what_the_time_does_not_allow_is_done_by_the_next_runs() -> None:
    events = [event(number) for number in range(11, 55)]
    ledger = Ledger()
    runs = 0
    while ledger.progress != Progress(watermark=NEWEST):
        runs += 1
        assert runs < 100, "the runs make no progress"
        steps = iter(range(1_000))
        deadline = Deadline(24.0, monotonic=lambda steps=steps: float(next(steps)))  # type: ignore[misc]
        before = ledger.progress
        run(Stripe(events), Settling(ledger), deadline=deadline)
        assert before is not None
        assert ledger.progress is not None
        assert ledger.progress.watermark >= before.watermark
        committed_before = {e.id for e in events if e.created < ledger.progress.watermark}
        assert committed_before <= ledger.committed
    assert runs > 1
    assert ledger.committed == {each.id for each in events}


def test_of_more_than_fits_the_oldest_are_kept_and_the_watermark_stops_before_the_rest() -> None:
    backlog = Backlog(Window(HOUR_AGO, NEWEST), maximum=2)
    backlog.add(Page([event(20), event(30)], True), set())
    backlog.add(Page([event(40), event(50)], False), set())
    assert [each.id for each in backlog.oldest_first()] == ["evt_50", "evt_40"]
    assert backlog.progress(Progress(watermark=HOUR_AGO), None).watermark == event(30).created


def test_the_watermark_never_goes_back() -> None:
    backlog = Backlog(Window(HOUR_AGO, NEWEST))
    backlog.add(Page([], False), set())
    before = Progress(watermark=NOW - timedelta(minutes=15))
    assert backlog.progress(before, HOUR_AGO).watermark == before.watermark


def test_a_listing_that_was_cut_short_goes_on_with_the_older_ones() -> None:
    before = Progress(watermark=HOUR_AGO, listed_from=event(30).created)
    assert next_window(before, LIMITS, NOW).until == event(30).created
