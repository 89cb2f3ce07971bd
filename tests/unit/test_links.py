"""Every link of the documentation leads somewhere, and every test it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)", re.DOTALL)
_REMOTE = re.compile(r"[a-z]+:")


def prose(path: Path) -> str:
    """The page without what is set as code, which may look like a link."""
    return _CODE.sub("code", path.read_text(encoding="utf-8"))


def links(path: Path) -> list[tuple[str, str]]:
    """Text and target of each."""
    return [(link["text"], link["target"]) for link in _LINK.finditer(prose(path))]


def anchors(path: Path) -> set[str]:
    """Where a link into the page can lead: its headings, as GitHub names them, and its own."""
    text = path.read_text(encoding="utf-8")
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r'<a id="([^"]+)">', outside))
    for heading in re.findall(r"^#+ (.+?) *$", outside, re.MULTILINE):
        plain = _LINK.sub(lambda link: link["text"], heading).lower()
        name = base = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for _, target in links(page):
        if _REMOTE.match(target):
            continue
        name, _, anchor = unquote(target).partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_test_that_is_named_is_there(page: Path) -> None:
    gone = [
        name
        for name, target in links(page)
        if name.startswith("test_")
        and f"def {name}(" not in (page.parent / target).read_text(encoding="utf-8")
    ]
    assert gone == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for _, target in links(page):
            name = target.partition("#")[0]
            there = (page.parent / name).resolve() if name else page
            found = sorted(there.glob("*.md")) if there.is_dir() else [there]
            waiting += [each for each in found if each in PAGES and each not in reached]
    assert reached == set(PAGES)
