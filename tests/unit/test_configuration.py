"""The environment is read into settings, or one error names everything that is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from settlement.configuration import (
    RDS_CA_BUNDLE,
    StripeApiSettings,
    read_configuration,
    read_database_settings,
    read_reconciliation_settings,
    read_thin_event_settings,
    read_webhook_settings,
    split_secrets,
)
from settlement.domain.reconciliation import Limits
from settlement.errors import ConfigurationError

DATABASE = {
    "DB_HOST": "db.example.com",
    "DB_NAME": "cachao",
    "DB_USER": "settler",
    "DB_PASSWORD": "hunter2",
}
WEBHOOK = {"STRIPE_WEBHOOK_SECRET": "whsec_1"}
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:any-AbCdEf"


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


def problems(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as error:
        read_configuration(environ)
    return str(error.value)


def webhook_problems(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as error:
        read_webhook_settings(environ)
    return str(error.value)


def test_four_settings_and_the_defaults_suffice() -> None:
    configuration = read_configuration(DATABASE)
    database, rules = configuration.database, configuration.rules
    assert (database.host, database.port, database.name) == ("db.example.com", 3306, "cachao")
    assert (database.user, database.password) == ("settler", "hunter2")
    assert database.ca_file == RDS_CA_BUNDLE
    assert (rules.livemode, rules.account) == (None, None)
    assert rules.order_grace == timedelta(seconds=120)


def test_every_setting_has_its_effect(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    configuration = read_configuration(
        {
            **without(DATABASE, "DB_PASSWORD", "DB_USER"),
            "DB_PORT": "3307",
            "DB_SECRET_ARN": ARN,
            "DB_TLS": "verify",
            "DB_TLS_CA": str(ca_file),
            "STRIPE_LIVEMODE": "true",
            "STRIPE_ACCOUNT": "acct_1",
            "ORDER_GRACE_SECONDS": "0",
        }
    )
    database, rules = configuration.database, configuration.rules
    assert (database.port, database.secret_arn, database.ca_file) == (3307, ARN, ca_file)
    assert (database.user, database.password) == (None, None)
    assert (rules.livemode, rules.account, rules.order_grace) == (True, "acct_1", timedelta(0))


def test_the_webhook_has_its_own_settings() -> None:
    settings = read_webhook_settings(
        {
            "STRIPE_WEBHOOK_SECRET": "whsec_1, whsec_2",
            "SIGNATURE_TOLERANCE_SECONDS": "60",
            "WEBHOOK_MAX_BODY_BYTES": "1024",
        }
    )
    assert settings.secrets == ("whsec_1", "whsec_2")
    assert (settings.tolerance, settings.max_body_bytes) == (timedelta(seconds=60), 1024)


def test_the_webhooks_defaults_are_stripes_tolerance_and_half_a_megabyte() -> None:
    settings = read_webhook_settings({"STRIPE_SECRET_ARN": ARN})
    assert (settings.secrets, settings.secret_arn) == ((), ARN)
    assert (settings.tolerance, settings.max_body_bytes) == (timedelta(minutes=5), 512 * 1024)


@pytest.mark.parametrize("name", ["DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"])
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_missing_setting_is_named(name: str, value: str | None) -> None:
    environ = without(DATABASE, name) if value is None else {**DATABASE, name: value}
    assert name in problems(environ)


MALFORMED = {
    "DB_PORT": ["0", "65536", "-1", "3306.0", "mysql", "\N{FULLWIDTH DIGIT THREE}306", "0x1"],
    "DB_TLS": ["on", "required", "true", "0"],
    "DB_TLS_CA": ["/no/such/authority.pem", "/"],
    "STRIPE_LIVEMODE": ["yes", "1", "live"],
    "ORDER_GRACE_SECONDS": ["-1", "86401", "2m", "1e2"],
}
MALFORMED_WEBHOOK = {
    "SIGNATURE_TOLERANCE_SECONDS": ["0", "3601", "-300", "5m"],
    "WEBHOOK_MAX_BODY_BYTES": ["0", "6291457", "1MB"],
    "STRIPE_WEBHOOK_SECRET": [",", " , "],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), cases(MALFORMED))
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    assert name in problems({**DATABASE, name: value})


@pytest.mark.parametrize(("name", "value"), cases(MALFORMED_WEBHOOK))
def test_a_malformed_webhook_setting_is_named(name: str, value: str) -> None:
    assert name in webhook_problems({**WEBHOOK, name: value})


def test_one_error_names_every_setting_that_is_wrong() -> None:
    text = problems(dict.fromkeys(MALFORMED, "marker"))
    assert all(name in text for name in (*MALFORMED, "DB_HOST", "DB_NAME", "DB_PASSWORD"))


def test_one_error_names_every_webhook_setting_that_is_wrong() -> None:
    text = webhook_problems(
        {**dict.fromkeys(MALFORMED_WEBHOOK, "marker"), "STRIPE_WEBHOOK_SECRET": ""}
    )
    assert all(name in text for name in (*MALFORMED_WEBHOOK, "STRIPE_SECRET_ARN"))


@pytest.mark.parametrize("name", MALFORMED)
def test_a_value_is_not_repeated(name: str) -> None:
    assert "marker" not in problems({**DATABASE, name: "/marker"})


def test_a_password_or_a_secret_is_needed() -> None:
    assert "DB_PASSWORD or DB_SECRET_ARN is missing" in problems(without(DATABASE, "DB_PASSWORD"))
    assert "STRIPE_WEBHOOK_SECRET or STRIPE_SECRET_ARN is missing" in webhook_problems({})


def test_the_secret_may_name_the_user() -> None:
    environ = {**without(DATABASE, "DB_USER", "DB_PASSWORD"), "DB_SECRET_ARN": ARN}
    assert read_database_settings(environ).user is None


def test_the_migrations_need_the_database_settings_alone() -> None:
    environ = {**DATABASE, "STRIPE_LIVEMODE": "neither"}
    assert read_database_settings(environ).name == "cachao"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_tls_is_off_for_a_loopback_address(host: str) -> None:
    assert read_database_settings({**DATABASE, "DB_HOST": host}).ca_file is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_can_be_asked_for_on_a_loopback_address(host: str) -> None:
    environ = {**DATABASE, "DB_HOST": host, "DB_TLS": "verify"}
    assert read_database_settings(environ).ca_file == RDS_CA_BUNDLE


@pytest.mark.parametrize(
    "host", ["db.example.com", "10.0.0.5", "localhost.example.com", "127.0.0.1.example.com", "::2"]
)
def test_tls_is_verified_for_every_other_host(host: str) -> None:
    assert read_database_settings({**DATABASE, "DB_HOST": host}).ca_file == RDS_CA_BUNDLE


@pytest.mark.parametrize("value", ["off", "OFF", " off "])
def test_tls_is_off_by_an_explicit_setting(value: str) -> None:
    assert read_database_settings({**DATABASE, "DB_TLS": value}).ca_file is None


@pytest.mark.parametrize(("value", "livemode"), [("true", True), ("False", False), ("", None)])
def test_the_livemode_is_checked_only_where_it_is_set(value: str, livemode: bool | None) -> None:
    assert read_configuration({**DATABASE, "STRIPE_LIVEMODE": value}).rules.livemode is livemode


def test_secrets_never_stand_in_a_repr() -> None:
    environ = {**DATABASE, "DB_PASSWORD": "marker", "STRIPE_WEBHOOK_SECRET": "marker"}
    assert "marker" not in repr(read_configuration(environ))
    assert "marker" not in repr(read_webhook_settings(environ))


def test_a_password_is_taken_as_it_stands() -> None:
    assert read_database_settings({**DATABASE, "DB_PASSWORD": " a b "}).password == " a b "


@pytest.mark.parametrize(
    ("value", "secrets"),
    [("", ()), (" , ,", ()), ("a", ("a",)), ("a,b", ("a", "b")), (" a ,\nb ,", ("a", "b"))],
)
def test_secrets_are_separated_by_commas(value: str, secrets: tuple[str, ...]) -> None:
    assert split_secrets(value) == secrets


def test_reconciliation_has_defaults_for_all_but_the_key_and_the_mode() -> None:
    settings = read_reconciliation_settings(
        {"STRIPE_LIVEMODE": "true", "STRIPE_API_KEY_SECRET_ARN": ARN}
    )
    assert settings.limits == Limits()
    assert settings.stripe == StripeApiSettings(livemode=True, account=None, api_key_secret_arn=ARN)


def test_everything_wrong_with_reconciliation_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        read_reconciliation_settings({"RECONCILIATION_OVERLAP_SECONDS": "soon"})
    for name in (
        "STRIPE_LIVEMODE is missing",
        "STRIPE_API_KEY_SECRET_ARN is missing",
        "RECONCILIATION_OVERLAP_SECONDS must be",
    ):
        assert name in str(error.value)


@pytest.mark.parametrize("key", [{}, {"STRIPE_API_KEY_SECRET_ARN": ARN}])
def test_sessions_are_not_fetched_without_a_key_of_their_own(key: dict[str, str]) -> None:
    assert read_configuration({**DATABASE, **key}).fetches_sessions is False


def test_sessions_are_fetched_with_a_key_of_the_mode_and_for_the_account_that_are_settled() -> None:
    environ = {
        "STRIPE_LIVEMODE": "true",
        "STRIPE_ACCOUNT": "acct_1",
        "THIN_EVENTS_KEY_SECRET_ARN": ARN,
    }
    assert read_configuration({**DATABASE, **environ}).fetches_sessions is True
    assert read_thin_event_settings(environ) == StripeApiSettings(
        livemode=True, account="acct_1", api_key_secret_arn=ARN
    )


def test_a_key_for_sessions_whose_mode_is_not_known_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="STRIPE_LIVEMODE is missing"):
        read_thin_event_settings({"THIN_EVENTS_KEY_SECRET_ARN": ARN})
