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
