from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.servers.emulated_aws import EmulatedAWS, Timing
from tests.emulator.account import Account

RETRY_SECONDS = 0.2


@pytest.fixture(scope="session")
def aws() -> Iterator[EmulatedAWS]:
    """One emulator, in a hurry: a minute passes in a fifth of a second."""
    timing = Timing(speed=300, async_retry_seconds=RETRY_SECONDS)
    with EmulatedAWS(timing=timing) as aws:
        yield aws


@pytest.fixture(scope="session")
def account(aws: EmulatedAWS) -> Account:
    return Account(aws)
