"""The dashboard shows on one page whether money is being settled, with metrics that exist."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk.assertions import Template

from stripe_settlement import SettlementSettings
from tests.infrastructure.physical_names import resolve
from tests.infrastructure.synthesis import PARTNER_SOURCE, any_secret, new_app, settle, template_of

Widget = Mapping[str, Any]


def add_dashboard(stack: Stack, **changes: Any) -> None:
    """Add a settlement with known names, and so its dashboard."""
    settings = {
        "resource_prefix": "cachao",
        "service_name": "payments",
        "metrics_namespace": "Tickets",
        **changes,
    }
    settle(stack, settings=SettlementSettings(**settings))


def widgets_of(stack: Stack) -> list[Widget]:
    """The widgets from top to bottom, with every name resolved."""
    template = template_of(stack)
    (dashboard,) = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Dashboard"
    )
    body = json.loads(resolve(dashboard["DashboardBody"], template))
    return sorted(body["widgets"], key=lambda widget: (widget["y"], widget["x"]))


def metrics_of(widget: Widget) -> list[dict[str, str]]:
    """The widget's metrics: name, namespace and dimensions in one dictionary each."""
    metrics = []
    for namespace, name, *rest in widget["properties"].get("metrics", []):
        dimensions = [each for each in rest if isinstance(each, str)]
        metrics.append(
            {"Namespace": namespace, "Metric": name}
            | dict(zip(dimensions[::2], dimensions[1::2], strict=True))
        )
    return metrics


@pytest.fixture(scope="module")
def widgets() -> list[Widget]:
    stack = Stack(new_app(), "Stack")
    add_dashboard(stack)
    return widgets_of(stack)


def test_page_begins_with_the_summary(widgets: list[Widget]) -> None:
    top = [widget for widget in widgets if widget["y"] + widget["height"] <= 12]
    shown = {metric["Metric"] for widget in top for metric in metrics_of(widget)}
    assert shown == {
        "Settled",
        "SettlementLag",
        "PaymentAnomaly",
        "SettlementRetry",
        "ApproximateNumberOfMessagesVisible",
    }
    assert "alarm" in {widget["type"] for widget in top}
    assert "Is money being settled?" in top[0]["properties"]["markdown"]


def test_settled_orders_are_counted_by_the_minute(widgets: list[Widget]) -> None:
    (settled,) = (w for w in widgets if w["properties"].get("title") == "Settled orders per minute")
    ((*_, options),) = settled["properties"]["metrics"]
    assert (options["period"], options["stat"]) == (60, "Sum")


def test_lag_is_shown_as_median_and_99th_percentile(widgets: list[Widget]) -> None:
    lag = next(w for w in widgets if "SettlementLag" in str(w["properties"].get("metrics")))
    assert [metric[-1]["stat"] for metric in lag["properties"]["metrics"]] == ["p50", "p99"]


def test_rows_follow_from_routes_to_functions_to_queues(widgets: list[Widget]) -> None:
    seen = [metric["Namespace"] for widget in widgets for metric in metrics_of(widget)]
    below_the_summary = seen[seen.index("AWS/Events") :]
    order = ["AWS/Events", "AWS/ApiGateway", "AWS/Lambda", "AWS/SQS"]
    assert [each for each in dict.fromkeys(below_the_summary) if each in order] == order


def test_every_metric_is_of_a_part_that_exists(widgets: list[Widget]) -> None:
    known = {
        "ApiName": {"CachaoApi"},
        "EventBusName": {PARTNER_SOURCE},
        "FunctionName": {
            "cachao-stripe-event-bridge-handler",
            "cachao-stripe-payment-function",
        },
        "QueueName": {
            "cachao-stripe-event-dlq",
            "cachao-stripe-event-bridge-handler-on-failure",
            "cachao-stripe-payment-function-on-failure",
        },
        "RuleName": {"cachao-stripe-events"},
        "Stage": {"Prod"},
        "service": {"payments"},
    }
    of_namespace = {
        "AWS/ApiGateway": {"ApiName", "Stage"},
        "AWS/Events": {"EventBusName", "RuleName"},
        "AWS/Lambda": {"FunctionName"},
        "AWS/SQS": {"QueueName"},
        "Tickets": {"service"},
    }
    for metric in (metric for widget in widgets for metric in metrics_of(widget)):
        dimensions = {k: v for k, v in metric.items() if k not in ("Namespace", "Metric")}
        assert dimensions.keys() == of_namespace[metric["Namespace"]], metric
        assert all(value in known[name] for name, value in dimensions.items()), metric


def test_every_metric_is_shown_as_it_was_sent(widgets: list[Widget]) -> None:
    assert "expression" not in json.dumps(widgets)


def test_every_row_fills_the_page(widgets: list[Widget]) -> None:
    rows = {widget["y"]: 0 for widget in widgets}
    for widget in widgets:
        rows[widget["y"]] += widget["width"]
    assert set(rows.values()) == {24}


def test_firing_alarms_are_on_the_page(widgets: list[Widget]) -> None:
    (alarms,) = (widget for widget in widgets if widget["type"] == "alarm")
    assert len(alarms["properties"]["alarms"]) == 26
    assert alarms["properties"]["states"] == ["ALARM"]


def test_service_without_a_webhook_shows_none(stack: Stack) -> None:
    add_dashboard(stack, webhook=None)
    shown = {m["Namespace"] for widget in widgets_of(stack) for m in metrics_of(widget)}
    assert "AWS/ApiGateway" not in shown


def test_service_with_an_api_key_shows_what_reconciliation_did(
    stack: Stack, widgets: list[Widget]
) -> None:
    settle(stack, stripe_api_key_secret=any_secret(stack, "StripeApiKey"))
    ours = {"Reconciled", "ReconciliationLag"}
    with_a_key, without = (
        {metric["Metric"] for widget in page for metric in metrics_of(widget)} & ours
        for page in (widgets_of(stack), widgets)
    )
    assert (with_a_key, without) == (ours, set())


@pytest.mark.parametrize(
    ("name_prefix", "expected"), [("cachao", {"DashboardName": "cachao-settlement"}), (None, {})]
)
def test_dashboard_has_a_name_only_under_a_prefix(
    stack: Stack, name_prefix: str | None, expected: dict[str, str]
) -> None:
    add_dashboard(stack, resource_prefix=name_prefix)
    (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
    properties = dashboard["Properties"]
    assert {k: v for k, v in properties.items() if k == "DashboardName"} == expected
