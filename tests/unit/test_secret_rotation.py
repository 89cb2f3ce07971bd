"""A secret is kept, and read again when it may have been rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from settlement.adapters.secrets import SecretsManagerSecret
from settlement.domain.clock import Deadline
from settlement.errors import ConfigurationError, SecretUnavailable
from tests.support.invocations import plenty_of_time
from tests.support.secrets_manager_server import ARN


class Rotating:
    """A secret whose value tells how often it was read; the store may be down."""

    def __init__(self) -> None:
        self.reads = 0
        self.seconds = 0.0
        self.down = False
        self.usable = True
        self.secret: SecretsManagerSecret[Mapping[str, Any]] = SecretsManagerSecret(
            ARN, self.parse, fetch=self, monotonic=lambda: self.seconds
        )

    def __call__(self, arn: str, _deadline: Deadline) -> Mapping[str, Any]:
        assert arn == ARN
        if self.down:
            raise SecretUnavailable("down")
        self.reads += 1
        return {"read": self.reads}

    def parse(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.usable:
            raise ConfigurationError("the key 'read' is of no use")
        return value

    def read(self) -> Mapping[str, Any]:
        return self.secret.read(plenty_of_time())

    def read_again(self) -> Mapping[str, Any] | None:
        return self.secret.read_again(plenty_of_time())


def test_a_secret_is_read_when_it_is_first_needed_and_kept() -> None:
    store = Rotating()
    assert store.reads == 0
    assert [store.read(), store.read()] == [{"read": 1}] * 2


def test_a_secret_is_read_again_at_most_once_in_ten_seconds() -> None:
    store = Rotating()
    store.read()
    assert store.read_again() is None
    store.seconds += 9.9
    assert store.read_again() is None
    store.seconds += 0.1
    assert store.read_again() == {"read": 2}
    assert store.read_again() is None
    assert store.read() == {"read": 2}


def test_a_failed_read_is_tried_at_the_next_need() -> None:
    store = Rotating()
    store.down = True
    with pytest.raises(SecretUnavailable):
        store.read()
    store.down = False
    assert store.read() == {"read": 1}


def test_a_failed_reading_again_keeps_the_old_value_and_its_distance() -> None:
    store = Rotating()
    store.read()
    store.seconds, store.down = 60.0, True
    with pytest.raises(SecretUnavailable):
        store.read_again()
    assert store.read() == {"read": 1}
    assert store.read_again() is None


def test_what_cannot_be_used_is_named_and_never_kept() -> None:
    store = Rotating()
    store.usable = False
    for _ in range(2):
        with pytest.raises(ConfigurationError) as failure:
            store.read()
        assert str(failure.value) == f"the secret {ARN}: the key 'read' is of no use"
    store.usable = True
    assert store.read() == {"read": 3}


def test_what_cannot_be_used_does_not_replace_what_can() -> None:
    store = Rotating()
    store.read()
    store.seconds, store.usable = 60.0, False
    with pytest.raises(ConfigurationError):
        store.read_again()
    assert store.read() == {"read": 1}


def test_a_secret_expires_after_five_minutes() -> None:
    store = Rotating()
    store.read()
    store.seconds = 299.9
    assert store.read() == {"read": 1}
    store.seconds = 300.0
    assert store.read() == {"read": 2}


def test_a_failed_reading_again_does_not_make_the_old_value_younger() -> None:
    store = Rotating()
    store.read()
    store.seconds, store.down = 299.0, True
    with pytest.raises(SecretUnavailable):
        store.read_again()
    store.seconds = 300.0
    with pytest.raises(SecretUnavailable):
        store.read()
