"""A partner's events arrive on the event bus that has the name of their source.

On AWS (EventBridge API Reference, "PutPartnerEvents"; User Guide, "Receiving events from a SaaS
partner") a partner such as Stripe puts events under the name of its event source, and they come out
of the event bus of the same name. Where nobody has made that bus they are dropped. MiniStack takes
the call and drops the events always.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import eventbridge
from local.emulator.patching import replace


def apply(_settings: Settings) -> None:
    """Put partner events on their bus."""
    replace(eventbridge, "_put_partner_events", _put_partner_events)


def _put_partner_events(_original: Callable[..., Any], data: dict[str, Any]) -> Any:
    entries = [{**entry, "EventBusName": entry["Source"]} for entry in data["Entries"]]
    # Sources that begin with `aws.` are forbidden to everyone but AWS and its partners.
    return eventbridge._put_events({"Entries": entries}, allow_aws_source=True)
