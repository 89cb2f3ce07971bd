"""What the operator reads: the summary, the list, the line that moves."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from stripe_settlement_cli.messages import EventIds
from stripe_settlement_cli.progress import TerminalProgress
from stripe_settlement_cli.reasons import Reason
from stripe_settlement_cli.report import Kept, Listed, QueueReport
from stripe_settlement_cli.summary import print_list, print_summary

IDS = EventIds(event_id="evt_1", event_type="checkout.session.completed", order_id="4711")


def shown(*reports: QueueReport, interrupted: bool = False, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(console, reports, interrupted=interrupted)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def listed(*reports: QueueReport, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_list(console, reports)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, queue: str) -> list[str]:
    (line,) = (each for each in text.splitlines() if each.startswith("│") and queue in each)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_each_queue_has_a_row_with_its_counts() -> None:
    outcomes = Counter(settled=3, duplicate=1)
    report = QueueReport("dlq", outcomes=outcomes, kept=[Kept(IDS, Reason("LedgerUnavailable"))])

    assert row(shown(report, QueueReport("other")), "dlq") == ["dlq", "5", "3", "1", "1"]


def test_a_kept_message_is_named_with_reason_and_advice() -> None:
    text = shown(QueueReport("dlq", kept=[Kept(IDS, Reason("LedgerUnavailable", "refused"))]))

    assert "LedgerUnavailable: refused" in text
    assert "evt_1  checkout.session.completed  order 4711" in text
    assert "Run this again when it is back." in text


def test_many_kept_for_one_reason_are_counted() -> None:
    text = shown(QueueReport("dlq", kept=[Kept(IDS, Reason("LedgerUnavailable"))] * 25))

    assert "kept 25" in text
    assert "and 5 more" in text


def test_kept_for_one_kind_of_reason_they_stand_together_each_with_its_own_text() -> None:
    reasons = [Reason("OrderNotYetKnown", f"order {n} is not known") for n in (1, 2)]
    text = shown(QueueReport("dlq", kept=[Kept(IDS, reason) for reason in reasons]))

    assert text.count("not in the database yet") == 1
    assert "order 1 is not known" in text
    assert "order 2 is not known" in text


def test_a_message_that_could_not_be_deleted_is_one_message() -> None:
    report = QueueReport(
        "dlq", outcomes=Counter(settled=1), kept=[Kept(IDS, Reason("not deleted"))]
    )

    assert report.tried == 1
    assert not report.all_out


@pytest.mark.parametrize(
    "report",
    [
        QueueReport("q", kept=[Kept(IDS, Reason("timeout"))]),
        QueueReport("q", untried=1),
        QueueReport("q", elsewhere=1),
        QueueReport("q", stopped=Reason("timeout")),
        QueueReport("q", unreadable="AccessDenied"),
    ],
    ids=["kept", "untried", "elsewhere", "stopped", "unreadable"],
)
def test_whatever_remains_is_said(report: QueueReport) -> None:
    assert not report.all_out
    assert "Messages remain" in shown(report)


def test_an_anomaly_came_out_and_waits_for_a_person() -> None:
    report = QueueReport("dlq", outcomes=Counter(anomaly=2))

    assert report.all_out
    assert "2 payments do not fit their orders" in shown(report)


def test_what_others_wrote_is_no_markup() -> None:
    text = shown(QueueReport("dlq", kept=[Kept(IDS, Reason("timeout", "[red]x[/nothing]"))]))

    assert "[red]x[/nothing]" in text


def test_no_id_is_cut_on_a_narrow_terminal() -> None:
    ids = EventIds(event_id="evt_" + "9" * 24, event_type="checkout.session.completed")
    text = listed(QueueReport("dlq", listed=[Listed(ids, 60.0, "why")]), width=60)

    assert "…" not in text


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(59, "59 s"), (3599, "59 min"), (3600, "1 h 0 min"), (172800, "2 d 0 h")],
)
def test_a_message_waits_for_so_long(seconds: float, age: str) -> None:
    assert age in listed(QueueReport("dlq", listed=[Listed(IDS, seconds, "why")]))


def progress_on(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with TerminalProgress(console, "dlq") as progress:
        progress.waiting(7)
        progress.committed(IDS, "settled")
        progress.kept(Kept(IDS, Reason("LedgerUnavailable")))
        progress.held_elsewhere(2)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_how_far_it_is() -> None:
    assert "2/7" in progress_on(terminal=True)


def test_a_log_shows_what_waited_and_what_was_kept() -> None:
    assert progress_on(terminal=False).splitlines() == [
        "dlq: about 7 waiting",
        "kept evt_1  checkout.session.completed  order 4711: LedgerUnavailable",
    ]
