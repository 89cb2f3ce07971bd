"""What the operator reads: the summary, the list, the line that moves."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from stripe_settlement_cli.failure_reasons import FailureReason
from stripe_settlement_cli.queue_consumer import EventIds
from stripe_settlement_cli.report import (
    Anomaly,
    QueueProgress,
    QueueReport,
    Retained,
    Waiting,
    age,
    print_dry_run,
    print_summary,
)

IDS = EventIds(event_id="evt_1", event_type="checkout.session.completed", order_id="4711")


def shown(*reports: QueueReport, interrupted: bool = False, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(console, reports, interrupted=interrupted)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def dry_run_of(*reports: QueueReport, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_dry_run(console, reports)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, queue: str) -> list[str]:
    (line,) = (each for each in text.splitlines() if each.startswith("│") and queue in each)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_each_queue_has_a_row_with_its_counts() -> None:
    outcomes = Counter(settled=3, duplicate=1)
    report = QueueReport(
        "dlq", outcomes=outcomes, retained=[Retained(IDS, FailureReason("LedgerUnavailable"))]
    )

    assert row(shown(report, QueueReport("other")), "dlq") == ["dlq", "5", "3", "1", "1"]


def test_a_retained_message_is_named_with_its_reason_and_hint() -> None:
    text = shown(
        QueueReport("dlq", retained=[Retained(IDS, FailureReason("LedgerUnavailable", "refused"))])
    )

    assert "LedgerUnavailable: refused" in text
    assert "evt_1  checkout.session.completed  order 4711" in text
    assert "Run this again when it is back." in text


def test_many_messages_retained_for_one_reason_are_counted() -> None:
    text = shown(
        QueueReport("dlq", retained=[Retained(IDS, FailureReason("LedgerUnavailable"))] * 25)
    )

    assert "retained 25" in text
    assert "and 5 more" in text


def test_messages_retained_for_one_kind_of_reason_stand_together_each_with_its_own_text() -> None:
    reasons = [FailureReason("OrderNotYetKnown", f"order {n} is not known") for n in (1, 2)]
    text = shown(QueueReport("dlq", retained=[Retained(IDS, reason) for reason in reasons]))

    assert text.count("not in the database yet") == 1
    assert "order 1 is not known" in text
    assert "order 2 is not known" in text


def test_a_message_that_could_not_be_deleted_is_one_message() -> None:
    report = QueueReport(
        "dlq", outcomes=Counter(settled=1), retained=[Retained(IDS, FailureReason("not deleted"))]
    )

    assert report.tried == 1
    assert not report.empty


@pytest.mark.parametrize(
    "report",
    [
        QueueReport("q", retained=[Retained(IDS, FailureReason("timeout"))]),
        QueueReport("q", untried=1),
        QueueReport("q", held_by_another_consumer=1),
        QueueReport("q", stopped=FailureReason("timeout")),
        QueueReport("q", unreadable="AccessDenied"),
    ],
    ids=["retained", "untried", "held by another consumer", "stopped", "unreadable"],
)
def test_whatever_remains_is_reported(report: QueueReport) -> None:
    assert not report.empty
    assert "Messages remain" in shown(report)


def test_an_anomaly_leaves_the_queue_and_is_reported() -> None:
    anomalies = [Anomaly(IDS, "amount_mismatch"), Anomaly(IDS, None)]
    report = QueueReport("dlq", outcomes=Counter(anomaly=2), anomalies=anomalies)
    text = shown(report)

    assert (report.empty, report.well) == (True, False)
    assert "2 payments do not fit orders" in text
    assert "evt_1  checkout.session.completed  order 4711  amount_mismatch" in text
    assert "2 messages done, none left. The operator decides" in text


def test_text_that_others_wrote_is_no_markup() -> None:
    text = shown(
        QueueReport("dlq", retained=[Retained(IDS, FailureReason("timeout", "[red]x[/nothing]"))])
    )

    assert "[red]x[/nothing]" in text


def test_no_id_is_cut_on_a_narrow_terminal() -> None:
    ids = EventIds(event_id="evt_" + "9" * 24, event_type="checkout.session.completed")
    text = dry_run_of(QueueReport("dlq", waiting=[Waiting(ids, 60.0, "why")]), width=60)

    assert "…" not in text


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(59, "59 s"), (3599, "59 min"), (3600, "1 h 0 min"), (172800, "2 d 0 h")],
)
def test_age_is_written_in_the_units_that_matter(seconds: float, written: str) -> None:
    assert age(seconds) == written


def progress_on(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    progress = QueueProgress(console, "dlq")
    with progress.bar:
        progress.begin(7)
        progress.committed("settled")
        progress.retained(Retained(IDS, FailureReason("LedgerUnavailable")))
        progress.held_by_another_consumer(2)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_how_far_the_run_is() -> None:
    assert "2/7" in progress_on(terminal=True)


def test_a_log_shows_what_waited_and_what_was_retained() -> None:
    assert progress_on(terminal=False).splitlines() == [
        "dlq: about 7 messages waiting",
        "retained evt_1  checkout.session.completed  order 4711: LedgerUnavailable",
    ]
