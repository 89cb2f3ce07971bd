"""A partner event source exists from its creation by the partner to its deletion.

On AWS (EventBridge API Reference, "EventSource"; User Guide, "Receiving events from a SaaS
partner") the customer sees it as PENDING until an event bus of its name associates it, then as
ACTIVE, and as PENDING again without the bus; a partner that deletes it leaves it as DELETED to a
bus that has associated it. Its ARN names no account. To MiniStack every source is ACTIVE, whether
it exists or not, and none is ever listed.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import eventbridge, responses
from local.emulator.patching import replace

_deleted: set[str] = set()
"""Names of sources that their partner has deleted."""


def apply(_settings: Settings) -> None:
    """Give partner event sources the life that they have on AWS."""
    replace(eventbridge, "_create_partner_event_source", _create)
    replace(eventbridge, "_delete_partner_event_source", _delete)
    replace(eventbridge, "_describe_event_source", _describe)
    replace(eventbridge, "_list_event_sources", _list)


def _create(original: Callable[..., Any], data: dict[str, Any]) -> Any:
    _deleted.discard(data["Name"])
    status, headers, body = original(data)
    if status >= 400:
        return status, headers, body
    record = _records()[data["Name"]]
    region = eventbridge.get_region()
    record["EventSourceArn"] = f"arn:aws:events:{region}::event-source/{data['Name']}"
    record["CreationTime"] = eventbridge._now_ts()
    return responses.json_response({"EventSourceArn": record["EventSourceArn"]})


def _delete(original: Callable[..., Any], data: dict[str, Any]) -> Any:
    if data["Name"] in _records():
        _deleted.add(data["Name"])
    return original(data)


def _describe(_original: Callable[..., Any], data: dict[str, Any]) -> Any:
    source = _seen(data["Name"])
    if source is None:
        return responses.error_response_json(
            "ResourceNotFoundException", f"Event source {data['Name']} does not exist.", 400
        )
    return responses.json_response(source)


def _list(_original: Callable[..., Any], data: dict[str, Any]) -> Any:
    names = sorted(_records().keys() | _deleted)
    found = [_seen(name) for name in names if name.startswith(data.get("NamePrefix", ""))]
    return responses.json_response({"EventSources": [each for each in found if each]})


def _seen(name: str) -> dict[str, Any] | None:
    """Return a source as the customer sees it; None if there is none."""
    associated = name in eventbridge._event_buses
    record = _records().get(name)
    if record is None and not (associated and name in _deleted):
        return None
    state = "DELETED" if record is None else "ACTIVE" if associated else "PENDING"
    region = eventbridge.get_region()
    source = {
        "Arn": f"arn:aws:events:{region}::event-source/{name}",
        "CreatedBy": name.split("/")[1],
        "Name": name,
        "State": state,
    }
    return source if record is None else {**source, "CreationTime": record["CreationTime"]}


def _records() -> dict[str, dict[str, Any]]:
    """MiniStack's own records by name."""
    return {record["Name"]: record for record in eventbridge._partner_event_sources.values()}
