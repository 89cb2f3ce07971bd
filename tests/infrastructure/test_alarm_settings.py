"""Settings under which an alarm could never fire are errors, with a hint."""

from typing import Any

import pytest
from aws_cdk import Duration, Fn

from stripe_settlement.monitoring.alarm_settings import AlarmSettings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"function_errors": 0}, "function_errors is 0; allowed is 1 or more"),
        ({"function_throttles": 0}, "function_throttles is 0"),
        ({"webhook_server_errors": 0}, "webhook_server_errors is 0"),
        ({"signature_failures": -1}, "signature_failures is -1"),
        ({"payment_anomalies": 0}, "payment_anomalies is 0"),
        ({"retry_periods": 0}, "retry_periods is 0"),
        ({"timeout_fraction": 0}, "timeout_fraction is 0"),
        ({"timeout_fraction": 1.1}, "timeout_fraction is 1.1"),
        ({"period": Duration.seconds(30)}, "period is 30 seconds; allowed are whole minutes"),
        ({"period": Duration.seconds(0)}, "period is 0 seconds"),
        ({"period": Duration.seconds(90)}, "period is 90 seconds"),
        ({"period": Duration.hours(12)}, "period is 43200 seconds.*the day"),
        ({"no_events_for": Duration.minutes(30)}, "no_events_for is 0.5 hours"),
        ({"no_events_for": Duration.minutes(90)}, "no_events_for is 1.5 hours"),
        ({"no_events_for": Duration.days(8)}, "no_events_for is 192 hours; allowed are 1 to 168"),
        ({"runbook_url": ""}, "runbook_url is ''"),
        ({"runbook_url": "https://wiki.example/runbook#top"}, "without an anchor"),
        ({"email_subscriptions": ("+4912345",)}, "'\\+4912345'; allowed are e-mail addresses"),
    ],
)
def test_setting_that_could_never_fire_is_an_error(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        AlarmSettings(**settings)


def test_address_known_only_at_deployment_is_accepted() -> None:
    AlarmSettings(email_subscriptions=(Fn.import_value("OnCallAddress"),))
