"""What a platform team can import, and that it can be used as it is."""

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
from constructs import Construct

import stripe_settlement

PACKAGE = Path(stripe_settlement.__file__).parent
ROOT = Path(__file__).parents[2]
EXPORTED = {name: getattr(stripe_settlement, name) for name in stripe_settlement.__all__}
SETTINGS = [each for name, each in EXPORTED.items() if name.endswith("Settings")]


def test_all_is_sorted_and_names_each_export_once() -> None:
    assert stripe_settlement.__all__ == sorted(set(stripe_settlement.__all__))


def test_readme_and_guides_import_nothing_that_is_not_exported() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    imports = re.findall(r"^from stripe_settlement import (.+)$", text, re.MULTILINE)
    asked = {name.strip() for line in imports for name in line.split(",")}
    assert asked
    assert asked <= EXPORTED.keys()


def test_settings_have_no_position_to_confuse() -> None:
    for settings in SETTINGS:
        with pytest.raises(TypeError, match="positional"):
            settings(1)


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
