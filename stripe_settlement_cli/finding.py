"""What a check of `doctor` finds: one line, with the command that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a link of the chain is."""

    WELL = "✓"
    BROKEN = "✗"
    UNKNOWN = "?"
    """It could not be looked at. Not known is not well."""
    ADVICE = "!"
    """Does not change the exit code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    state: State
    text: str
    hint: str = ""
    """The command that mends it, or what to ask for."""
