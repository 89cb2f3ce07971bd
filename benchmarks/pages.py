"""The page of the figures, of which a part may be written by itself."""

from __future__ import annotations

from benchmarks import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
LAST_HEADING = "## The machine"


def write_section(heading: str, section: str) -> None:
    """Replace a section of the page, or put it before the last one."""
    PAGE.write_text(with_section(PAGE.read_text("utf-8"), heading, section), "utf-8")


def with_section(page: str, heading: str, section: str) -> str:
    """Return the page with one section replaced, or put before the last one."""
    before, found, rest = page.partition(f"{heading}\n")
    if not found:
        return page.replace(LAST_HEADING, f"{section}\n\n{LAST_HEADING}", 1)
    _, following, after = rest.partition("\n## ")
    return before + section + "\n" + following + after
