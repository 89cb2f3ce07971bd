"""Each delivery is reported once: one line an operator can search, one set of metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from settlement import bootstrap
from settlement.adapters.telemetry import OUTCOME_METRICS, Telemetry, anomaly_metric
from settlement.bootstrap import deliver, telemetry
from settlement.domain.outcomes import AnomalyKind, Outcome, Result, Route, Verdict
from settlement.domain.reconciliation import Progress, Run
from settlement.errors import LedgerUnavailable, StripeUnavailable
from tests.support.events import any_paid_event
from tests.support.invocations import NOW, AnyContext
from tests.support.output import Output, Process

Report = Callable[..., Output]

OUTCOMES = {
    Outcome.SETTLED: "Settled",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.AWAITING_PAYMENT: "AwaitingPayment",
    Outcome.IGNORED: "Ignored",
    Outcome.ANOMALY: "PaymentAnomaly",
    Outcome.UNAUTHENTICATED: "Unauthenticated",
    Outcome.RETRY: "SettlementRetry",
}
ANOMALIES = {
    AnomalyKind.AMOUNT_MISMATCH: "AnomalyAmountMismatch",
    AnomalyKind.CURRENCY_MISMATCH: "AnomalyCurrencyMismatch",
    AnomalyKind.SECOND_PAYMENT: "AnomalySecondPayment",
    AnomalyKind.LATE_PAYMENT: "AnomalyLatePayment",
    AnomalyKind.PAYMENT_REUSED: "AnomalyPaymentReused",
    AnomalyKind.UNKNOWN_ORDER: "AnomalyUnknownOrder",
    AnomalyKind.MALFORMED_ORDER_ID: "AnomalyMalformedOrderId",
    AnomalyKind.MALFORMED_SESSION: "AnomalyMalformedSession",
    AnomalyKind.UNSUPPORTED_MODE: "AnomalyUnsupportedMode",
    AnomalyKind.OVERSOLD: "AnomalyOversold",
    AnomalyKind.CANNOT_BE_SETTLED: "AnomalyCannotBeSettled",
    AnomalyKind.THIN_EVENT: "AnomalyThinEvent",
}


@pytest.fixture
def report(process: Process) -> Report:
    """Report a result, and read what was written."""

    def report_result(**changes: Any) -> Output:
        values: dict[str, Any] = {
            "route": Route.WEBHOOK,
            "received_at": NOW,
            "duration_ms": 12.345,
            "context": AnyContext(aws_request_id="request-1"),
        }
        circumstances = {key: changes.pop(key, value) for key, value in values.items()}
        result = Result(**{"outcome": Outcome.SETTLED, **changes})
        process.run(lambda: telemetry().report(result, **circumstances))
        return process.output()

    return report_result


def test_a_line_carries_what_an_operator_searches_for(report: Report) -> None:
    output = report(
        event_id="evt_1",
        event_type="checkout.session.completed",
        order_id=42,
        session_id="cs_1",
        route=Route.EVENTBRIDGE,
    )
    [line] = output.logs
    expected = {
        "message": "delivery settled",
        "level": "INFO",
        "outcome": "settled",
        "route": "eventbridge",
        "event_id": "evt_1",
        "event_type": "checkout.session.completed",
        "order_id": 42,
        "session_id": "cs_1",
        "duration_ms": 12.3,
        "function_request_id": "request-1",
    }
    assert {key: line.get(key) for key in expected} == expected


def test_a_line_says_why(report: Report) -> None:
    error = LedgerUnavailable("the database gave OperationalError 1205 at attempt 6")
    output = report(outcome=Outcome.RETRY, reason=str(error), error=error)
    [line] = output.logs
    assert (line["reason"], line["error"]) == (str(error), "LedgerUnavailable")


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Outcome.SETTLED, "INFO"),
        (Outcome.DUPLICATE, "INFO"),
        (Outcome.AWAITING_PAYMENT, "INFO"),
        (Outcome.IGNORED, "INFO"),
        (Outcome.ANOMALY, "WARNING"),
        (Outcome.UNAUTHENTICATED, "WARNING"),
        (Outcome.RETRY, "ERROR"),
    ],
)
def test_the_level_follows_the_outcome(report: Report, outcome: Outcome, level: str) -> None:
    assert [line["level"] for line in report(outcome=outcome).logs] == [level]


@pytest.mark.parametrize(("outcome", "name"), OUTCOMES.items())
def test_each_outcome_is_counted_once_under_its_name(
    report: Report, outcome: Outcome, name: str
) -> None:
    assert report(outcome=outcome).outcome_metrics() == {name}


@pytest.mark.parametrize(("kind", "name"), ANOMALIES.items())
def test_each_kind_of_anomaly_is_counted_beside_the_anomalies(
    report: Report, kind: AnomalyKind, name: str
) -> None:
    assert report(outcome=Outcome.ANOMALY, anomaly=kind).outcome_metrics() == {
        "PaymentAnomaly",
        name,
    }


def test_an_oversold_settlement_is_a_settlement_and_an_anomaly(report: Report) -> None:
    output = report(outcome=Outcome.SETTLED, anomaly=AnomalyKind.OVERSOLD)
    assert output.outcome_metrics() == {"Settled", "PaymentAnomaly", "AnomalyOversold"}
    assert [line["level"] for line in output.logs] == ["WARNING"]


def test_every_outcome_and_every_kind_has_a_metric() -> None:
    assert OUTCOME_METRICS == OUTCOMES
    assert {kind: anomaly_metric(kind) for kind in AnomalyKind} == ANOMALIES


def test_the_service_is_the_only_dimension(report: Report, process: Process) -> None:
    output = report(outcome=Outcome.ANOMALY, anomaly=AnomalyKind.THIN_EVENT, event_created=NOW)
    [record] = output.metrics
    [definition] = record["_aws"]["CloudWatchMetrics"]
    assert definition["Dimensions"] == [["service"]]
    assert (record["service"], definition["Namespace"]) == (process.service, "StripeSettlement")


def test_the_namespace_is_a_setting(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Cachao")
    [record] = report().metrics
    assert record["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Cachao"


@pytest.mark.parametrize("level", ["LOUD", "TRACE", ""])
def test_a_level_that_python_does_not_know_is_info(
    report: Report, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
    assert [line["level"] for line in report().logs] == ["INFO"]


def test_the_units_are_counts_and_milliseconds(report: Report) -> None:
    [record] = report(event_created=NOW).metrics
    [definition] = record["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]} == {
        "Settled": "Count",
        "SettlementDuration": "Milliseconds",
        "SettlementLag": "Milliseconds",
    }


def test_the_lag_runs_from_stripes_event_to_the_commit(report: Report) -> None:
    output = report(event_created=NOW - timedelta(seconds=3), duration_ms=250.0)
    values = output.metric_values()
    assert (values["SettlementLag"], values["SettlementDuration"]) == (3250.0, 250.0)


def test_a_clock_ahead_of_ours_gives_no_negative_lag(report: Report) -> None:
    output = report(event_created=NOW + timedelta(seconds=3))
    assert output.metric_values()["SettlementLag"] == 0.0


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "settled"])
def test_only_a_settlement_has_a_lag(report: Report, outcome: Outcome) -> None:
    output = report(outcome=outcome, event_created=NOW)
    assert set(output.metric_values()) == {OUTCOMES[outcome], "SettlementDuration"}


def test_one_delivery_does_not_count_in_the_next(report: Report) -> None:
    report(outcome=Outcome.ANOMALY, anomaly=AnomalyKind.LATE_PAYMENT)
    assert report(outcome=Outcome.DUPLICATE).outcome_metrics() == {"Duplicate"}


@pytest.mark.parametrize("broken", ["_log", "_count"])
def test_a_delivery_that_could_not_be_reported_keeps_its_outcome(
    report: Report,
    settle_with: Callable[..., object],
    process: Process,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BrokenPipeError("marker")

    event = any_paid_event(order_id=42)
    settle_with(Verdict(Outcome.SETTLED))
    with monkeypatch.context() as patch:
        patch.setattr(Telemetry, broken, fail)
        result = process.run(
            deliver, lambda _deadline: event, route=Route.EVENTBRIDGE, context=AnyContext()
        )
    assert (result.outcome, result.error) == (Outcome.SETTLED, None)
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "delivery settled, but it could not be reported: BrokenPipeError" in record.message
    assert f"(event {event['id']}, order 42, " in record.message
    assert "marker" not in caplog.text
    process.output()
    assert report(outcome=Outcome.DUPLICATE).outcome_metrics() == {"Duplicate"}


def test_a_process_without_telemetry_still_settles(
    settle_with: Callable[..., object], process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "telemetry", lambda: 1 // 0)
    settle_with(Verdict(Outcome.SETTLED))
    event = any_paid_event()
    result = process.run(
        deliver, lambda _deadline: event, route=Route.EVENTBRIDGE, context=AnyContext()
    )
    assert result.outcome is Outcome.SETTLED


@pytest.mark.parametrize("error", [None, StripeUnavailable("Stripe returned 503")])
def test_a_run_of_reconciliation_reports_what_it_settled_and_how_old_its_watermark_is(
    process: Process, error: StripeUnavailable | None
) -> None:
    """Whether it fails or not: the alarms wait for no run that ends well."""
    watermark = NOW - timedelta(minutes=75)
    run = Run(progress=Progress(watermark=watermark), listed=9, handled=4, settled=3, error=error)
    process.run(lambda: telemetry().report_reconciliation(run, now=NOW, context=AnyContext()))
    output = process.output()
    assert output.metric_values() == {"Reconciled": 3.0, "ReconciliationLag": 4500.0}
    [line] = output.logs
    assert (line["level"], line["settled"]) == ("ERROR" if error else "INFO", 3)


def test_a_run_of_reconciliation_that_settles_nothing_says_that_it_ran(process: Process) -> None:
    run = Run(progress=Progress(watermark=NOW), caught_up=True)
    process.run(lambda: telemetry().report_reconciliation(run, now=NOW, context=AnyContext()))
    assert process.output().metric_values() == {"Reconciled": 0.0, "ReconciliationLag": 0.0}
