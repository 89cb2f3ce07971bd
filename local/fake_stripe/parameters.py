"""A request's parameters, read and checked by what Stripe's library declares for the request.

The library's parameter types (`stripe.params`) are generated from Stripe's OpenAPI description, so
they say which parameters there are, which are required, and what they hold. v1 sends forms, in
which all is text and lists are `a[0]=…`; v2 sends JSON, and forms only in a query.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from stripe import RequestOptions, StripeContext

from local.fake_stripe.errors import ApiError, invalid_fields

Parameters = dict[str, Any]

_BOOLEANS: Final = {"true": True, "false": False}


class _Mismatch(Exception):
    """A value that is not what is declared. `path` is where, as v1 or v2 write it."""

    def __init__(self, path: tuple[str, ...], code: str, v1: str, v2: str) -> None:
        super().__init__(v1)
        self.path = path
        self.code = code
        self.v1 = v1
        self.v2 = v2


def read_form(text: str) -> Parameters:
    """Return the nested parameters of a form or a query: `a[b]=1` is `{"a": {"b": "1"}}`."""
    form: Parameters = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *parents, last = re.findall(r"[^\[\]]+", name)
        place = form
        for parent in parents:
            place = place.setdefault(parent, {})
        if name.endswith("[]"):
            place = place.setdefault(last, {})
            last = str(len(place))
        place[last] = value
    return form


def check(parameters: Parameters, shape: type, version: str) -> Parameters:
    """Return the parameters with the types that `shape`, a TypedDict, declares.

    Raises:
        ApiError: 400, for the first parameter that is unknown, missing or of another type.
    """
    try:
        return _mapping(parameters, shape, ())
    except _Mismatch as mismatch:
        if version == "v2":
            raise invalid_fields(_v2_path(mismatch.path), mismatch.v2) from None
        param = _v1_path(mismatch.path)
        raise ApiError(400, mismatch.v1, code=mismatch.code, param=param) from None


def _mapping(parameters: Any, shape: type, path: tuple[str, ...]) -> Parameters:
    if not isinstance(parameters, dict):
        raise _Mismatch(path, "parameter_invalid", "Invalid object", "Expected an object.")
    declared = _declared(shape)
    for name in parameters:
        if name not in declared:
            raise _Mismatch(
                (*path, name),
                "parameter_unknown",
                f"Received unknown parameter: {_v1_path((*path, name))}",
                "Unknown field.",
            )
    for name in sorted(shape.__required_keys__):  # type: ignore[attr-defined]
        if name not in parameters:
            raise _Mismatch(
                (*path, name),
                "parameter_missing",
                f"Missing required param: {_v1_path((*path, name))}.",
                "This field is required.",
            )
    return {
        name: _value(value, declared[name], (*path, name)) for name, value in parameters.items()
    }


@functools.cache
def _declared(shape: type) -> dict[str, Any]:
    """Return what a TypedDict declares, without the options that the library takes out."""
    # A type declared with RequestOptions names two types that only RequestOptions' module knows.
    hints = get_type_hints(shape, localns={"StripeContext": StripeContext, "Mapping": Mapping})
    options = RequestOptions.__annotations__.keys()
    return {
        name: hint
        for name, hint in hints.items()
        if not (options <= hints.keys() and name in options)
    }


def _value(value: Any, hint: Any, path: tuple[str, ...]) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _member(value, get_args(hint), path)
    if origin is Literal:
        return _one_of(value, get_args(hint), path)
    if origin is list:
        return _items(value, get_args(hint)[0], path)
    if origin is dict:
        return _free_mapping(value, get_args(hint)[1], path)
    if hasattr(hint, "__required_keys__"):
        return _mapping(value, hint, path)
    return _scalar(value, hint, path)


def _member(value: Any, members: tuple[Any, ...], path: tuple[str, ...]) -> Any:
    """Read what fits one of several types. An enumeration is closed, though typed as open.

    The library adds `str` to an enumeration so that older versions of it read newer answers; in a
    request Stripe refuses a value that it does not list. `Literal['']` only says "may be unset".
    """
    usable = list(members)
    closed = [each for each in usable if get_origin(each) is Literal and get_args(each) != ("",)]
    if closed and str in usable:
        usable.remove(str)
    mismatch: _Mismatch | None = None
    for each in usable:
        try:
            return _value(value, each, path)
        except _Mismatch as error:
            deeper = mismatch is None or len(error.path) > len(mismatch.path)
            mismatch = error if deeper else mismatch
    raise mismatch or AssertionError(f"{path} has no readable type")


def _one_of(value: Any, allowed: tuple[Any, ...], path: tuple[str, ...]) -> Any:
    if value in allowed:
        return value
    listed = ", ".join(str(each) for each in allowed)
    raise _Mismatch(
        path,
        "parameter_invalid",
        f"Invalid {_v1_path(path)}: must be one of {listed}",
        f"Unrecognized enum value '{value}', valid values are: {listed}.",
    )


def _items(value: Any, hint: Any, path: tuple[str, ...]) -> list[Any]:
    if isinstance(value, dict) and all(key.isdecimal() for key in value):
        value = [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list):
        raise _Mismatch(path, "parameter_invalid_empty", "Invalid array", "Expected an array.")
    return [_value(each, hint, (*path, str(index))) for index, each in enumerate(value)]


def _free_mapping(value: Any, hint: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Mismatch(path, "parameter_invalid", "Invalid object", "Expected a map.")
    return {name: _value(each, hint, (*path, name)) for name, each in value.items()}


def _scalar(value: Any, hint: Any, path: tuple[str, ...]) -> Any:
    if hint is type(None) and value is None:
        return None
    if hint is bool and (isinstance(value, bool) or value in _BOOLEANS):
        return _BOOLEANS.get(value, value)
    if hint is int and not isinstance(value, bool):
        if isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"-?\d+", value)):
            return int(value)
        raise _Mismatch(
            path, "parameter_invalid_integer", f"Invalid integer: {value}", "Expected an integer."
        )
    if hint in (str, Any) and isinstance(value, str):
        return value
    name = getattr(hint, "__name__", str(hint))
    raise _Mismatch(path, "parameter_invalid", f"Invalid {name}: {value}", f"Not a {name}.")


def _v1_path(path: tuple[str, ...]) -> str:
    first, *rest = path or ("",)
    return first + "".join(f"[{name}]" for name in rest)


def _v2_path(path: tuple[str, ...]) -> str:
    text = ""
    for name in path:
        text += f"[{name}]" if name.isdecimal() else f".{name}" if text else name
    return text
