"""Apps that synthesise fast and alike everywhere: nothing bundled, nothing reported, no clock."""

import pytest
from aws_cdk import Stack

from tests.infrastructure.synthesis import new_app


@pytest.fixture
def stack() -> Stack:
    """Another team's stack, to put a construct into."""
    return Stack(new_app(), "Shop")
