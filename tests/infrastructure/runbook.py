"""The runbook, as the tests read it."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")

_ANCHOR = re.compile(r'^<a id="([^"]+)"></a>$', re.MULTILINE)


def entries() -> dict[str, str]:
    """The text of each alarm's entry, by its anchor."""
    _, *parts = _ANCHOR.split(TEXT)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def code_blocks(language: str) -> list[str]:
    """What the operator is to copy."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def sections() -> dict[str, str]:
    """The text under each heading, by the alarm's anchor or what GitHub makes of the heading."""
    found = {}
    parts = re.split(r'^(?:<a id="([^"]+)"></a>\n)?##+ (.+)$', TEXT, flags=re.MULTILINE)[1:]
    for anchor, heading, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        found[anchor or place(heading)] = text
    return found


def place(heading: str) -> str:
    """What GitHub makes of a heading in a link."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def commands(section: str, *, language: str = "sh") -> list[str]:
    """The blocks of commands of one section, in their order."""
    blocks = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return blocks.findall(sections()[section])
