"""The tables of settings say what the code says, and a setting without a reason is refused."""

from __future__ import annotations

import ast
import shutil
from typing import TYPE_CHECKING

import pytest

from scripts import update_settings_tables
from scripts.update_settings_tables import ROOT, SECTIONS, TableError, pages, read_classes

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = read_classes()
SETTINGS = "stripe_settlement/settings.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the script reads, to be changed."""
    for name in [*SECTIONS, "README.md", "docs/settings.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def row(page: str, setting: str) -> str:
    [line] = [line for line in page.splitlines() if line.startswith(f"| `{setting}` ")]
    return line


@pytest.mark.parametrize(
    ("path", "text"), pages().items(), ids=lambda each: getattr(each, "name", "-")
)
def test_table_is_what_the_script_makes_of_the_code(path: Path, text: str) -> None:
    stale = "run scripts/update_settings_tables.py"
    assert path.read_text(encoding="utf-8") == text, stale


@pytest.mark.parametrize("path", SECTIONS)
def test_every_dataclass_of_a_settings_file_is_shown(path: str) -> None:
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    dataclasses = {
        node.name for node in module.body if isinstance(node, ast.ClassDef) and node.decorator_list
    }
    assert dataclasses == set(SECTIONS[path])


def test_readme_shows_every_setting_one_can_reach() -> None:
    page = pages()[ROOT / "README.md"]
    assert "| `10` | Executions at once of each function" in row(
        page, "functions.reserved_concurrency"
    )
    assert "| `60 seconds` |" in row(page, "functions.timeout")
    assert "| `TWO_WEEKS` |" in row(page, "webhook.access_logs.retention")
    assert "| `WebhookSettings()` |" in row(page, "webhook")


def test_page_gives_every_reason_in_full() -> None:
    page = pages()[ROOT / "docs/settings.md"]
    for each in CLASSES.values():
        for setting in each.settings:
            assert setting.reason in page


def test_value_that_has_no_default_is_required() -> None:
    page = pages()[ROOT / "docs/settings.md"]
    assert "| required |" in row(page, "host")


def test_changed_default_makes_the_page_stale(checkout: Path) -> None:
    change(checkout / SETTINGS, "memory_size: int = 512", "memory_size: int = 2 * 512")
    made = pages(checkout)[checkout / "README.md"]
    assert "| `1024` |" in row(made, "functions.memory_size")
    assert made != (checkout / "README.md").read_text(encoding="utf-8")


def test_setting_without_a_reason_is_named(checkout: Path) -> None:
    change(
        checkout / SETTINGS,
        '    """The preferred route."""\n\n    webhook',
        "    webhook",
    )
    with pytest.raises(TableError, match=r"SettlementSettings\.events has no docstring"):
        pages(checkout)


def test_class_that_is_gone_is_named(checkout: Path) -> None:
    change(checkout / SETTINGS, "class QueueSettings:", "class OtherSettings:")
    with pytest.raises(TableError, match=r"settings\.py has no class QueueSettings"):
        pages(checkout)


def test_page_without_its_markers_is_named(checkout: Path) -> None:
    change(checkout / "README.md", "<!-- /settings -->", "")
    with pytest.raises(TableError, match=r"README\.md: expected <!-- settings -->"):
        pages(checkout)


def test_check_says_which_page_is_stale_and_changes_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(checkout / SETTINGS, "memory_size: int = 512", "memory_size: int = 1024")
    before = (checkout / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(update_settings_tables, "ROOT", checkout)

    assert update_settings_tables.main(["--check"]) == 1
    assert "README.md: the settings table differs from the code" in capsys.readouterr().out
    assert (checkout / "README.md").read_text(encoding="utf-8") == before

    assert update_settings_tables.main([]) == 0
    assert update_settings_tables.main(["--check"]) == 0
