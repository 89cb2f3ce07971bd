"""Whether an answer is what Stripe's library declares: no field unknown, missing, or mistyped."""

from __future__ import annotations

import inspect
import types
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from stripe import StripeObject


def assert_declared(answer: StripeObject) -> None:
    """Raise AssertionError with the first field that the answer's own class does not declare so."""
    _check_object(answer, type(answer), type(answer).__name__)


def _check_object(value: StripeObject, declared: type, path: str) -> None:
    hints = {
        name: hint
        for cls in reversed(declared.__mro__)
        if issubclass(cls, StripeObject) and cls is not StripeObject
        for name, hint in inspect.get_annotations(cls).items()
        if not name.isupper() and not name.startswith("_")
    }
    fields = value.to_dict(recursive=False)
    for name in fields:
        assert name in hints, f"{path}.{name} is not declared by the library"
    for name, hint in hints.items():
        if name in fields:
            _check_value(fields[name], hint, f"{path}.{name}")
        else:
            assert type(None) in get_args(hint), f"{path}.{name} is missing"


def _check_value(value: Any, hint: Any, path: str) -> None:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        _check_union(value, get_args(hint), path)
    elif origin is Literal:
        assert value in get_args(hint), f"{path} is {value!r}, not one of {get_args(hint)}"
    elif origin is list:
        assert isinstance(value, list), f"{path} is no list"
        for index, each in enumerate(value):
            _check_value(each, get_args(hint)[0], f"{path}[{index}]")
    elif isinstance(hint, ForwardRef) or origin is not None:
        assert isinstance(value, StripeObject), f"{path} is {value!r}"
    elif isinstance(hint, type) and issubclass(hint, StripeObject):
        assert isinstance(value, StripeObject), f"{path} is {value!r}, not a {hint.__name__}"
        _check_object(value, hint, path)
    elif hint is not Any:
        assert type(value) is hint, f"{path} is {value!r}, not {hint.__name__}"


def _check_union(value: Any, members: tuple[Any, ...], path: str) -> None:
    if value is None and type(None) in members:
        return
    problems = []
    for member in members:
        try:
            _check_value(value, member, path)
        except AssertionError as problem:
            problems.append(str(problem))
        else:
            return
    raise AssertionError(" / ".join(problems))
