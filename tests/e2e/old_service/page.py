"""The page on the cutover as it is followed: its commands and statements, step by step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_PAGE: Final = Path(__file__).parents[3] / "docs" / "moving-from-the-old-service.md"


def blocks(step: str, language: str) -> list[str]:
    """Return the code blocks under the heading of that text, in their order."""
    text = _PAGE.read_text(encoding="utf-8")
    [part] = re.findall(
        rf"^### {re.escape(step)}\n(.*?)(?=^###? |\Z)", text, re.MULTILINE | re.DOTALL
    )
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", part, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def statements(block: str) -> list[str]:
    """Return the statements of a block of SQL."""
    return [each for each in re.split(r";\n", block) if each.strip()]


def named(block: str, **values: str) -> str:
    """Return a block of names with these values in the place of what it says.

    Raises:
        KeyError: it does not say one of them.
    """
    for name, value in values.items():
        block, found = re.subn(rf"^{name}=.*$", f"{name}='{value}'", block, flags=re.MULTILINE)
        if found != 1:
            raise KeyError(name)
    return block
