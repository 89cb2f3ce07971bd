"""Clear errors for bad input: what came, what is allowed, what to do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from ipaddress import ip_network
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from aws_cdk import Duration, RemovalPolicy, Token

_HINTS = {
    Duration: "for example Duration.seconds(60)",
    bool: "a text such as 'false' would count as True: convert it first",
}

_MARK = "${Token["
"""What a token in a text begins with ("Tokens", AWS CDK developer guide)."""


class Checked:
    """A dataclass whose fields are what their annotations say, checked when it is made.

    Raises:
        TypeError: a field has another type.
        ValueError: a duration that is known only at deployment.
    """

    def __post_init__(self) -> None:
        """Check the types, then what `_check` says about the values."""
        kind = type(self)
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        require_types(kind.__name__, kind, {name: getattr(self, name) for name in names})
        self._check()

    def _check(self) -> None:
        """Raise ValueError for values that AWS would reject, or accept and settle nothing with."""


def require_types(owner: str, annotated: Any, values: Mapping[str, Any]) -> None:
    """Check values against the annotations of a class or a function.

    Raises:
        TypeError: with the name and both types; never the value, which may be a secret.
        ValueError: a duration that is known only at deployment.
    """
    for name, kind in get_type_hints(annotated).items():
        if name not in values:
            continue
        value, where = values[name], f"{owner}.{name}"
        if not _is_a(value, kind):
            hints = [hint for of, hint in _HINTS.items() if of in (kind, *get_args(kind))]
            raise TypeError(
                f"{where} is of type {type(value).__name__}; allowed is {_say(kind)}"
                + "".join(f"; {hint}" for hint in hints)
                + "."
            )
        if isinstance(value, Duration) and value.is_unresolved():
            raise ValueError(
                f"{where} is known only at deployment; allowed is a Duration of a number, because "
                "limits and alarms are computed from it at synthesis. Read the number from the "
                "context, or give each environment its own."
            )


def _is_a(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_is_a(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(each, arguments[0]) for each in value)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_is_a(each, arguments[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _is_a(key, arguments[0]) and _is_a(each, arguments[1]) for key, each in value.items()
        )
    if kind in (int, float):  # A number's token is a float, a bool is an int to Python.
        is_number = isinstance(value, int) or (kind is float and isinstance(value, float))
        return not isinstance(value, bool) and (is_number or _is_number_token(value))
    if getattr(kind, "_is_protocol", False):  # One of CDK's interfaces: whatever CDK made.
        return hasattr(value, "__jsii_type__")
    return isinstance(value, kind)


def is_unresolved(value: object) -> bool:
    """Say whether a value is known only at deployment, as `Token.is_unresolved` does.

    That asks the CDK's own process, for every setting. A text without the mark of tokens is none,
    nor is an int, which a number's token never is.
    """
    if isinstance(value, int) or (isinstance(value, str) and _MARK not in value):
        return False
    return bool(Token.is_unresolved(value))


def _is_number_token(value: Any) -> bool:
    return isinstance(value, float) and is_unresolved(value)


def _say(kind: Any) -> str:
    if get_origin(kind) is UnionType:
        return " or ".join(map(_say, get_args(kind)))
    if kind is NoneType:
        return "None"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def require_known(name: str, value: object) -> None:
    """Check that a value is known at synthesis.

    Raises:
        ValueError: it is a token.
    """
    if is_unresolved(value):
        raise ValueError(
            f"{name} is known only at deployment; allowed is a value, because others are computed "
            "from it at synthesis. Read it from the context, or give each environment its own."
        )


def require_removal_policy(name: str, value: RemovalPolicy) -> None:
    """Check that a queue or a log group can be removed in this way.

    Raises:
        ValueError: neither has snapshots.
    """
    if value is RemovalPolicy.SNAPSHOT:
        raise ValueError(
            f"{name} is SNAPSHOT, and neither queues nor log groups have snapshots; allowed is "
            "RETAIN, RETAIN_ON_UPDATE_OR_DELETE or DESTROY."
        )


def require_between(
    name: str, value: float, minimum: float, maximum: float, *, unit: str = "", hint: str = ""
) -> None:
    """Check a number against its range; a token passes, its value is not known yet.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if is_unresolved(value) or minimum <= value <= maximum:
        return
    suffix = unit and f" {unit}"
    raise ValueError(
        f"{name} is {value:.10g}{suffix}; allowed is {minimum:.10g} to {maximum:.10g}{suffix}."
        + (hint and f" {hint}")
    )


def require_duration(
    name: str, value: Duration, minimum: timedelta, maximum: timedelta, *, hint: str = ""
) -> None:
    """Check a field of a `Checked` against its range, in seconds.

    Raises:
        ValueError: with the name, the value and the range.
    """
    require_between(
        name,
        value.to_seconds(),
        minimum.total_seconds(),
        maximum.total_seconds(),
        unit="seconds",
        hint=hint,
    )


def require_match(name: str, value: str | None, pattern: str, *, allowed: str) -> None:
    """Check the form of a text; None and a token pass.

    Raises:
        ValueError: with the name, the value and what is allowed.
    """
    if value is None or is_unresolved(value) or re.fullmatch(pattern, value):
        return
    raise ValueError(f"{name} is {value!r}; allowed is {allowed}.")


def require_network(name: str, value: str) -> None:
    """Check that a text is an address or a network; a token passes.

    Raises:
        ValueError: with the name and the value.
    """
    if is_unresolved(value):
        return
    try:
        ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"{name} holds {value!r}; allowed are addresses and networks such as 192.0.2.0/24."
        ) from error


def require_text(name: str, value: object) -> None:
    """Raise if something is no text.

    Raises:
        TypeError: with the name and the value.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; allowed is a text.")
