"""The tables of settings say what the code says, and a setting without a reason is refused."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from scripts import update_settings_tables
from scripts.update_settings_tables import (
    PAGE,
    ROOT,
    SECTIONS,
    TableError,
    read_classes,
    settings_page,
)

CLASSES = read_classes()
SETTINGS = "stripe_settlement/settings.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the script reads, to be changed."""
    for name in [*SECTIONS, PAGE]:
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


def test_page_is_what_the_script_makes_of_the_code() -> None:
    stale = "run scripts/update_settings_tables.py"
    assert (ROOT / PAGE).read_text(encoding="utf-8") == settings_page(), stale


@pytest.mark.parametrize("path", SECTIONS)
def test_every_dataclass_of_a_settings_file_is_shown(path: str) -> None:
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    dataclasses = {
        node.name for node in module.body if isinstance(node, ast.ClassDef) and node.decorator_list
    }
    assert dataclasses == set(SECTIONS[path])


@pytest.mark.parametrize(
    ("setting", "default"),
    [
        ("memory_size", "512"),
        ("max_body_bytes", "524288"),
        ("async_event_age", "5 minutes"),
        ("architecture", "X86_64"),
        ("webhook", "WebhookSettings()"),
    ],
)
def test_defaults_are_written_as_one_says_them(setting: str, default: str) -> None:
    assert f"| `{setting}` | `{default}` |" in row(settings_page(), setting)


def test_default_taken_from_another_setting_is_shown_as_its_value() -> None:
    environment = settings_page().partition("## Environment\n")[2]
    assert "| `reserved_concurrency` | `10` |" in row(environment, "reserved_concurrency")


def test_page_gives_every_reason_in_full() -> None:
    page = settings_page()
    for each in CLASSES.values():
        for setting in each.settings:
            assert setting.reason in page


def test_value_that_has_no_default_is_required() -> None:
    page = settings_page()
    assert "| required |" in row(page, "host")


def test_changed_default_makes_the_page_stale(checkout: Path) -> None:
    change(checkout / SETTINGS, "memory_size: int = 512", "memory_size: int = 2 * 512")
    made = settings_page(checkout)
    assert "| `1024` |" in row(made, "memory_size")
    assert made != (checkout / PAGE).read_text(encoding="utf-8")


def test_setting_without_a_reason_is_named(checkout: Path) -> None:
    change(
        checkout / SETTINGS,
        '    """The preferred route."""\n\n    webhook',
        "    webhook",
    )
    with pytest.raises(TableError, match=r"SettlementSettings\.events has no docstring"):
        settings_page(checkout)


def test_class_that_is_gone_is_named(checkout: Path) -> None:
    change(checkout / SETTINGS, "class QueueSettings(", "class OtherSettings(")
    with pytest.raises(TableError, match=r"settings\.py has no class QueueSettings"):
        settings_page(checkout)


def test_page_without_its_markers_is_named(checkout: Path) -> None:
    change(checkout / PAGE, "<!-- /settings -->", "")
    with pytest.raises(TableError, match=r"settings\.md: expected <!-- settings -->"):
        settings_page(checkout)


def test_check_says_which_page_is_stale_and_changes_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(checkout / SETTINGS, "memory_size: int = 512", "memory_size: int = 1024")
    before = (checkout / PAGE).read_text(encoding="utf-8")
    monkeypatch.setattr(update_settings_tables, "ROOT", checkout)

    assert update_settings_tables.main(["--check"]) == 1
    assert f"{PAGE}: the tables differ from the code" in capsys.readouterr().out
    assert (checkout / PAGE).read_text(encoding="utf-8") == before

    assert update_settings_tables.main([]) == 0
    assert update_settings_tables.main(["--check"]) == 0
