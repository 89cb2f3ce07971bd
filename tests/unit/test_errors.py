"""An error says whether another delivery helps, and repeats nobody's data."""

from __future__ import annotations

import pytest

from settlement import errors
from settlement.errors import (
    DeliveryTooLarge,
    RejectedDelivery,
    RetryableError,
    SettlementError,
    UnexpectedFailure,
)

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SettlementError)
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_stands_in_the_tree(kind: type[SettlementError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not SettlementError])
def test_another_delivery_either_helps_or_does_not(kind: type[SettlementError]) -> None:
    assert issubclass(kind, RetryableError) is not issubclass(kind, RejectedDelivery)


def test_a_delivery_that_is_too_large_has_its_own_status() -> None:
    assert (RejectedDelivery.http_status, DeliveryTooLarge.http_status) == (400, 413)


def raise_deep() -> None:
    raise KeyError("jenny.rosen@example.com")


def test_a_foreign_error_is_described_by_type_and_place_without_its_message() -> None:
    with pytest.raises(KeyError) as caught:
        raise_deep()
    failure = UnexpectedFailure.of(caught.value)
    text = str(failure)
    line = raise_deep.__code__.co_firstlineno + 1
    assert text.startswith(f"KeyError at test_errors.py:{line} < test_errors.py:")
    assert "jenny" not in text
    assert failure.__cause__ is None


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert str(UnexpectedFailure.of(ValueError("jenny"))).startswith("ValueError")
