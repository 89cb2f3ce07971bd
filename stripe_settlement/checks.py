"""Refusals: what came, what is allowed, the way round."""

import re

from aws_cdk import Duration, Token


def require_between(
    name: str, value: float, least: float, most: float, *, unit: str = "", way_round: str = ""
) -> None:
    """Refuse a number outside its range; a token passes, nobody knows its value yet.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if Token.is_unresolved(value) or least <= value <= most:
        return
    suffix = unit and f" {unit}"
    raise ValueError(
        f"{name} is {value:.10g}{suffix}; allowed is {least:.10g} to {most:.10g}{suffix}."
        + (way_round and f" {way_round}")
    )


def require_duration(
    name: str, value: Duration, least: Duration, most: Duration, *, way_round: str = ""
) -> None:
    """Refuse a duration outside its range, which is compared in seconds.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if value.is_unresolved():
        return
    require_between(
        name,
        value.to_seconds(),
        least.to_seconds(),
        most.to_seconds(),
        unit="seconds",
        way_round=way_round,
    )


def require_match(name: str, value: str | None, pattern: str, *, allowed: str) -> None:
    """Refuse a text of the wrong form; None and a token pass.

    Raises:
        ValueError: with the name, the value and what is allowed.
    """
    if value is None or Token.is_unresolved(value) or re.fullmatch(pattern, value):
        return
    raise ValueError(f"{name} is {value!r}; allowed is {allowed}.")
