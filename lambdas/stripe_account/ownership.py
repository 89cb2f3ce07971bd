"""Whose an object at Stripe is: written into its metadata, where the next deployment finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stripe_account.custom_resource import Request

OWNER: Final = "stripe_settlement_owner"
GENERATION: Final = "stripe_settlement_generation"
ADOPTED: Final = "stripe_settlement_adopted"


def mark(request: Request, *, generation: str, adopted: bool) -> dict[str, str]:
    """Return the metadata that makes an object ours.

    Args:
        request: names the owner.
        generation: what cannot be changed in place; another one is another object.
        adopted: whether it was there before, so that a rollback must leave it.
    """
    marked = {OWNER: request.owner, GENERATION: generation}
    return {**marked, ADOPTED: "true"} if adopted else marked


def is_ours(metadata: Mapping[str, Any], request: Request) -> bool:
    """Whether it belongs to this resource of this stack, of whatever generation."""
    return metadata.get(OWNER) == request.owner


def is_nobodys(metadata: Mapping[str, Any]) -> bool:
    """Whether no deployment of ours owns it, so that it may be adopted."""
    return OWNER not in metadata


def is_of(metadata: Mapping[str, Any], generation: str) -> bool:
    """Whether it is of this generation."""
    return metadata.get(GENERATION) == generation


def is_adopted(metadata: Mapping[str, Any]) -> bool:
    """Whether it was there before."""
    return ADOPTED in metadata


def together(wanted: list[str], before: list[str], metadata: Mapping[str, Any]) -> list[Any]:
    """Return the event types to enable: what an adopted object was created for stays."""
    if not is_adopted(metadata) and not is_nobodys(metadata):
        return wanted
    return before if "*" in before else [*before, *(t for t in wanted if t not in before)]
