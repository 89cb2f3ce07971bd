"""How the database is reached: whose password, over which TLS, for how long. No server needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import CR, ER

from settlement.adapters import connection
from settlement.adapters.database import (
    MAX_ATTEMPTS,
    Credentials,
    Database,
    FixedCredentials,
    Statement,
    credentials_of,
)
from settlement.adapters.secrets import SecretsManagerSecret
from settlement.adapters.templates import words_of
from settlement.configuration import RDS_CA_BUNDLE, DatabaseSettings
from settlement.domain.clock import Deadline
from settlement.domain.order_tables import OrderTables
from settlement.errors import ConfigurationError, LedgerUnavailable
from tests.support.invocations import plenty_of_time

STATEMENT = Statement(
    RDS_CA_BUNDLE.parents[1] / "sql" / "record_anomaly.sql", words_of(OrderTables())
)


def settings(ca_file: Path | None = RDS_CA_BUNDLE) -> DatabaseSettings:
    return DatabaseSettings(
        host="db.example.com",
        port=3307,
        name="cachao",
        user="settler",
        password="hunter2",
        secret_arn=None,
        ca_file=ca_file,
    )


class Refusals:
    """A driver that keeps what it was called with and always refuses."""

    def __init__(self, code: int, text: str = "") -> None:
        self._error = pymysql.OperationalError(code, text)
        self.calls: list[dict[str, Any]] = []
        self.pauses: list[float] = []

    def connect(self, **arguments: Any) -> None:
        self.calls.append(arguments)
        raise self._error


def refuse(
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    *,
    text: str = "",
    deadline: Deadline | None = None,
    credentials: Credentials | None = None,
    ca_file: Path | None = RDS_CA_BUNDLE,
) -> tuple[Refusals, str]:
    """Ask a database that refuses; what was tried, and what the error says."""
    driver = Refusals(code, text)
    monkeypatch.setattr(connection, "Connection", driver.connect)
    database = Database(
        settings(ca_file),
        credentials or FixedCredentials("settler", "hunter2"),
        sleep=driver.pauses.append,
    )
    with pytest.raises(LedgerUnavailable) as failure:
        database.run(STATEMENT, {}, deadline or plenty_of_time())
    return driver, str(failure.value)


def test_the_servers_certificate_and_name_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _ = refuse(monkeypatch, 1049)
    [call] = driver.calls
    assert call["ssl_ca"] == str(RDS_CA_BUNDLE)
    assert (call["ssl_verify_cert"], call["ssl_verify_identity"]) == (True, True)
    assert "ssl_disabled" not in call


def test_tls_is_off_only_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _ = refuse(monkeypatch, 1049, ca_file=None)
    assert driver.calls[0]["ssl_disabled"] is True


def test_the_connection_goes_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _ = refuse(monkeypatch, 1049)
    expected = {
        "host": "db.example.com",
        "port": 3307,
        "database": "cachao",
        "user": "settler",
        "password": b"hunter2",
        "charset": "utf8mb4",
    }
    assert {key: driver.calls[0].get(key) for key in expected} == expected


@pytest.mark.parametrize("seconds", [0.3, 4.0, 25.0, 900.0])
def test_connecting_ends_before_the_deadline(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    driver, _ = refuse(monkeypatch, 1049, deadline=Deadline(seconds, monotonic=lambda: 0.0))
    assert 0 < driver.calls[0]["connect_timeout"] < min(seconds, 29)


def test_an_error_that_would_come_again_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, text = refuse(monkeypatch, 1049)
    assert (len(driver.calls), driver.pauses) == (1, [])
    assert text == "the database gave OperationalError 1049 (ER_BAD_DB_ERROR) at attempt 1"


@pytest.mark.parametrize(
    "code", [2003, 2006, 2013, 1040, 1053, 1927, 1290, 1836, 1047, 1213, 1205, 1020]
)
def test_an_error_that_passes_is_tried_again_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    driver, text = refuse(monkeypatch, code)
    assert len(driver.calls) == MAX_ATTEMPTS
    assert len(driver.pauses) == MAX_ATTEMPTS - 1
    assert all(0 <= pause <= 1.0 for pause in driver.pauses)
    assert text.startswith(f"the database gave OperationalError {code}")
    assert text.endswith(f" at attempt {MAX_ATTEMPTS}")


def test_no_attempt_begins_that_could_not_answer() -> None:
    with pytest.raises(LedgerUnavailable, match="no time was left"):
        Database(settings(), FixedCredentials("settler", "hunter2")).run(
            STATEMENT, {}, Deadline(0.05, monotonic=lambda: 0.0)
        )


def test_the_attempts_end_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 0.1
        return now

    driver, _ = refuse(monkeypatch, 2003, deadline=Deadline(0.5, monotonic=later))
    assert 1 <= len(driver.calls) < MAX_ATTEMPTS


def test_the_servers_words_are_not_repeated_whatever_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for code in (ER.DUP_ENTRY, 1644, CR.CR_SERVER_LOST, 31999):
        _, said = refuse(monkeypatch, code, text="customer marker@example.com")
        assert "marker" not in said
        assert str(code) in said


class Rotation:
    """A database secret that changes at each read."""

    def __init__(self, *values: Mapping[str, Any]) -> None:
        self._values = list(values)
        self.seconds = 0.0

    def clock(self) -> float:
        self.seconds += 60
        return self.seconds

    def credentials(self, user: str | None = None) -> Credentials:
        return SecretsManagerSecret(
            "arn",
            partial(credentials_of, user=user),
            fetch=lambda _arn, _deadline: self._values.pop(0),
            monotonic=self.clock,
        )


def test_a_refused_password_is_read_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = Rotation(*({"username": f"u{n}", "password": f"p{n}"} for n in range(3)))
    driver, text = refuse(monkeypatch, 1045, credentials=rotation.credentials())
    assert [(call["user"], call["password"]) for call in driver.calls] == [
        ("u0", b"p0"),
        ("u1", b"p1"),
    ]
    assert "1045" in text


def test_a_refused_password_that_cannot_have_changed_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, text = refuse(monkeypatch, 1045, text="Access denied for user 'settler'@'10.0.0.1'")
    assert len(driver.calls) == 1
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("value", "user", "expected"),
    [
        ({"username": "secret", "password": "p"}, "setting", ("secret", "p")),
        ({"password": "p"}, "setting", ("setting", "p")),
        ({"username": "secret", "password": ""}, None, ("secret", "")),
    ],
)
def test_the_user_that_the_secret_names_wins(
    value: Mapping[str, Any], user: str | None, expected: tuple[str, str]
) -> None:
    assert Rotation(value).credentials(user).read(plenty_of_time()) == expected


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({}, "username"),
        ({"password": "marker"}, "username"),
        ({"username": "u"}, "password"),
        ({"username": "u", "password": 7}, "password"),
        ({"username": "", "password": "marker"}, "username"),
        ({"username": ["u"], "password": "marker"}, "username"),
    ],
)
def test_a_secret_without_user_or_password_is_a_configuration_error(
    value: Mapping[str, Any], key: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"the secret arn: the key '{key}'") as error:
        Rotation(value).credentials().read(plenty_of_time())
    assert "marker" not in str(error.value)


def described(directory: Path, text: str) -> Statement:
    path = directory / "any_name.sql"
    path.write_text(text, encoding="utf-8")
    return Statement(path)


def test_a_described_statement_is_sent_without_its_comments(tmp_path: Path) -> None:
    statement = described(tmp_path, "-- why\nSELECT 1, -- one\n       2\n FROM dual\n")
    assert statement.text == "SELECT 1, 2 FROM dual"


def test_a_statement_names_its_parameters_in_any_order_and_number(tmp_path: Path) -> None:
    statement = described(tmp_path, "SELECT %(b)s, %(a)s\n  FROM t WHERE a = %(a)s")
    assert statement.text == "SELECT ?, ? FROM t WHERE a = ?"
    assert statement.execute == f"EXECUTE {statement.name} USING %(b)s, %(a)s, %(a)s"


def test_another_text_has_another_name(tmp_path: Path) -> None:
    one, same, other = (described(tmp_path, text) for text in ("DO 1", "DO  1", "DO 2"))
    assert one.name == same.name != other.name
    assert one.name.startswith("any_name_")


def test_a_way_to_sign_in_that_the_driver_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Authentication plugin 'b'auth_gssapi_client'' not configured"
    driver = Refusals(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, text)
    monkeypatch.setattr(connection, "Connection", driver.connect)
    database = Database(settings(), FixedCredentials("settler", "hunter2"))
    with pytest.raises(ConfigurationError, match=r"\(auth_gssapi_client\)"):
        database.run(STATEMENT, {}, plenty_of_time())
    assert len(driver.calls) == 1
