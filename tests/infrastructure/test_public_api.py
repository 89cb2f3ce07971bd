"""What a platform team can import, and that it can be used as it is."""

import ast
import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from constructs import Construct

import stripe_settlement

PACKAGE = Path(stripe_settlement.__file__).parent
EXPORTED = {name: getattr(stripe_settlement, name) for name in stripe_settlement.__all__}
SETTINGS = [each for name, each in EXPORTED.items() if name.endswith("Settings")]


def test_all_is_sorted_and_names_each_export_once() -> None:
    assert stripe_settlement.__all__ == sorted(set(stripe_settlement.__all__))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.__name__)
def test_settings_are_valid_as_they_are(settings: type) -> None:
    assert is_dataclass(settings)
    assert settings() == settings()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.__name__)
def test_settings_cannot_be_changed_behind_a_constructs_back(settings: type) -> None:
    instance = settings()
    name = fields(instance)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(instance, name, None)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.__name__)
def test_settings_take_keywords_only(settings: type) -> None:
    with pytest.raises(TypeError, match="positional"):
        settings(1)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.__name__)
def test_settings_can_be_derived_from_others(settings: type) -> None:
    assert replace(settings()) == settings()


@pytest.mark.parametrize("module", ["settings.py", "monitoring/alarm_settings.py", "database.py"])
def test_every_setting_says_why(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text())
    undocumented = [
        ast.unparse(field)
        for each in tree.body
        if isinstance(each, ast.ClassDef)
        for field, after in pairwise([*each.body, ast.Pass()])
        if isinstance(field, ast.AnnAssign) and not isinstance(after, ast.Expr)
    ]
    assert undocumented == []


def test_every_export_is_documented() -> None:
    assert [name for name, each in EXPORTED.items() if not each.__doc__] == []


def test_constructs_take_keywords_after_their_id() -> None:
    for name, each in EXPORTED.items():
        if isinstance(each, type) and issubclass(each, Construct):
            parameters = list(inspect.signature(each.__init__).parameters.values())[3:]
            assert {parameter.kind for parameter in parameters} == {
                inspect.Parameter.KEYWORD_ONLY
            }, name


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
