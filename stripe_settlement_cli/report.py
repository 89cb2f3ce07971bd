"""What became of the messages of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_settlement_cli.messages import EventIds
    from stripe_settlement_cli.reasons import Reason


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that is still in its queue after it was tried."""

    ids: EventIds
    reason: Reason


@dataclass(frozen=True, slots=True)
class Listed:
    """A message that waits, as a dry run shows it."""

    ids: EventIds
    age_seconds: float
    why: str


@dataclass(slots=True)
class QueueReport:
    """What became of one queue's messages. It only grows while the run goes on."""

    queue: str
    """Its name."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Committed, by outcome."""
    kept: list[Kept] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    """Of a dry run."""
    untried: int = 0
    """Messages left alone because the run stopped early; roughly."""
    elsewhere: int = 0
    """Messages somebody else holds, roughly."""
    comes_back_within: int = 0
    """Seconds after which a message is visible again that nobody gave back."""
    stopped: Reason | None = None
    """Why the run stopped before the queue was empty."""
    unreadable: str | None = None
    """Why the queue itself could not be read."""

    @property
    def tried(self) -> int:
        """Messages handed in, or refused before that."""
        return sum(self.outcomes.values()) + len(self.kept) - self._committed_but_kept

    @property
    def all_out(self) -> bool:
        """Whether nothing of the queue remains."""
        remains = self.kept or self.untried or self.elsewhere
        return not remains and self.stopped is None and self.unreadable is None

    @property
    def _committed_but_kept(self) -> int:
        return sum(kept.reason.kind == "not deleted" for kept in self.kept)
