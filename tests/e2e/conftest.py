from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from local.servers.emulated_aws import Timing
from tests.e2e.on_call import OnCall

TIMING = Timing(speed=100.0, async_retry_seconds=0.2)
"""An alarm's five minutes take three seconds; the retries of an invocation come at once."""


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """One cloud a test process, deployed once. A test leaves it as it found it."""
    with LocalCloud(timing=TIMING) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def on_call(cloud: LocalCloud) -> OnCall:
    """Who is told by the alarms of the cloud."""
    return OnCall(cloud.aws, topic_arn=cloud.addresses.topic_arn)
