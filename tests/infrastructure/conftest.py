"""Apps that synthesise fast and alike everywhere: nothing bundled, nothing reported, no clock."""

import pytest
from aws_cdk import Stack

from tests.infrastructure.synthesis import new_app


@pytest.fixture
def stack() -> Stack:
    """A stack of somebody else's, to put a construct into."""
    return Stack(new_app(), "Shop")
