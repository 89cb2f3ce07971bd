"""The whole template of each environment, for a reviewer to read what a change really changes.

`pytest tests/infrastructure/test_snapshots.py --snapshot-update` writes them again. What a template
promises has a test of its own elsewhere; nobody should have to find a promise in here.
"""

import json
import re

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template

_ASSET_HASH = re.compile(r"[0-9a-f]{64}")
_VERSION_HASH = re.compile(r"(?<=CurrentVersion[0-9A-F]{8})[0-9a-f]{32}")
"""Ends the id of a function's version, which changes with the function's code."""


def readable(value: object) -> object:
    """The same without what follows from the functions' code, and with the dashboard unfolded."""
    if isinstance(value, dict):
        return {
            readable(key): unfolded(item) if key == "DashboardBody" else readable(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, str):
        return _VERSION_HASH.sub("VERSION-HASH", _ASSET_HASH.sub("ASSET-HASH", value))
    return value


def unfolded(body: dict[str, list[list[object]]]) -> object:
    """The dashboard as JSON in JSON, not in a string; references as Fn::Sub would write them."""
    _, parts = body["Fn::Join"]
    return json.loads(
        "".join(part if isinstance(part, str) else placeholder(part) for part in parts)
    )


def placeholder(reference: object) -> str:
    match reference:
        case {"Ref": logical_id}:
            return f"${{{logical_id}}}"
        case {"Fn::GetAtt": [logical_id, attribute]}:
            return f"${{{logical_id}.{attribute}}}"
    raise NotImplementedError(f"{reference} in a dashboard")


# The local cloud's differs from dev's in the bus alone, and deploys nowhere else.
@pytest.mark.parametrize("environment", [name for name in ENVIRONMENTS if name != "local"])
def test_template_is_the_reviewed_one(environment: str, snapshot: SnapshotAssertion) -> None:
    template = readable(environment_template(environment))
    assert template == snapshot(extension_class=JSONSnapshotExtension)
