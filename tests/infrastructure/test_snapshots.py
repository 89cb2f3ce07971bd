"""The whole template of prod, and how dev differs, to show what a change really changes.

`pytest tests/infrastructure/test_snapshots.py --snapshot-update` writes them again. What a template
promises has a test of its own elsewhere; nobody should have to find a promise in here.
"""

import json
import re
from collections.abc import Iterator

from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.infrastructure.environment_templates import environment_template

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


def differences(prod: object, dev: object, path: str = "") -> Iterator[tuple[str, object]]:
    """What dev has instead, by its place; None for what it has not."""
    if isinstance(prod, dict) and isinstance(dev, dict):
        for key in {**prod, **dev}:
            yield from differences(prod.get(key), dev.get(key), f"{path}/{key}")
    elif isinstance(prod, list) and isinstance(dev, list) and len(prod) == len(dev):
        for index, (ours, theirs) in enumerate(zip(prod, dev, strict=True)):
            yield from differences(ours, theirs, f"{path}/{index}")
    elif prod != dev and (prod, dev) != ("prod", "dev"):  # the tag Environment
        yield path.removeprefix("/"), dev


def test_template_of_prod_is_the_reviewed_one(snapshot: SnapshotAssertion) -> None:
    template = readable(environment_template("prod"))
    assert template == snapshot(extension_class=JSONSnapshotExtension)


# The local cloud's differs from dev's in the bus alone, and deploys nowhere else.
def test_dev_differs_from_prod_as_reviewed(snapshot: SnapshotAssertion) -> None:
    prod, dev = (readable(environment_template(name)) for name in ("prod", "dev"))
    assert dict(differences(prod, dev)) == snapshot(extension_class=JSONSnapshotExtension)
