"""Clear errors for bad input: what came, what is allowed, what to do."""

import re

from aws_cdk import Duration, Token


def require_between(
    name: str, value: float, minimum: float, maximum: float, *, unit: str = "", hint: str = ""
) -> None:
    """Check a number against its range; a token passes, its value is not known yet.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if Token.is_unresolved(value) or minimum <= value <= maximum:
        return
    suffix = unit and f" {unit}"
    raise ValueError(
        f"{name} is {value:.10g}{suffix}; allowed is {minimum:.10g} to {maximum:.10g}{suffix}."
        + (hint and f" {hint}")
    )


def require_duration(
    name: str, value: Duration, minimum: Duration, maximum: Duration, *, hint: str = ""
) -> None:
    """Check a duration against its range, in seconds.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if value.is_unresolved():
        return
    require_between(
        name,
        value.to_seconds(),
        minimum.to_seconds(),
        maximum.to_seconds(),
        unit="seconds",
        hint=hint,
    )


def require_match(name: str, value: str | None, pattern: str, *, allowed: str) -> None:
    """Check the form of a text; None and a token pass.

    Raises:
        ValueError: with the name, the value and what is allowed.
    """
    if value is None or Token.is_unresolved(value) or re.fullmatch(pattern, value):
        return
    raise ValueError(f"{name} is {value!r}; allowed is {allowed}.")


def require_text(name: str, value: object) -> None:
    """Raise if something is no text.

    Raises:
        TypeError: with the name and the value.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; allowed is a text.")
