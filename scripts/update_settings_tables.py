"""Regenerate the tables of settings in the README and in docs/settings.md from the code.

A setting is a field of a frozen dataclass; its default and the docstring under it are what the
tables show. The source is read and never imported, so this needs nothing but Python.

    python scripts/update_settings_tables.py           write the tables
    python scripts/update_settings_tables.py --check   exit 1 if a table differs from the code
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
ROOT_CLASS: Final = "SettlementSettings"
SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "stripe_settlement/settings.py": (
        ROOT_CLASS,
        "FunctionSettings",
        "EventSettings",
        "WebhookSettings",
        "QueueSettings",
        "MigrationSettings",
        "LogSettings",
    ),
    "stripe_settlement/monitoring/alarm_settings.py": ("AlarmSettings",),
    "stripe_settlement/database.py": ("DatabaseConnection",),
    "stacks/environments.py": ("Environment", "Network"),
}
"""Which classes are shown, in which order, and where each is written."""

_SHORT: Final = 25
"""Characters of a sentence that needs the next one to be understood."""


class TableError(Exception):
    """A table that cannot be made: a setting without a reason, or a page without its markers."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field."""

    name: str
    annotation: str
    default: str | None
    """As a reader writes it; None where a value has to be given."""
    reason: str

    @property
    def summary(self) -> str:
        """The reason's first sentence, and the second where the first says little."""
        first, *others = re.split(r"(?<=[.?!])\s+(?=[A-Z`])", self.reason)
        return " ".join([first, *others[: len(first) < _SHORT]])


@dataclass(frozen=True, kw_only=True)
class SettingsClass:
    """One dataclass."""

    name: str
    path: str
    summary: str
    settings: tuple[Setting, ...]


def read_classes(root: Path = ROOT) -> dict[str, SettingsClass]:
    """Every class of `SECTIONS`, by its name.

    Raises:
        TableError: a class is gone, or a field has no docstring.
    """
    found: dict[str, SettingsClass] = {}
    for path, names in SECTIONS.items():
        module = ast.parse((root / path).read_text(encoding="utf-8"))
        classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
        for name in names:
            if name not in classes:
                raise TableError(f"{path} has no class {name}")
            found[name] = _read_class(classes[name], path)
    return found


def _read_class(node: ast.ClassDef, path: str) -> SettingsClass:
    docstring = ast.get_docstring(node) or ""
    return SettingsClass(
        name=node.name,
        path=path,
        summary=_one_line(docstring.partition("\n\n")[0]),
        settings=tuple(_read_fields(node, path)),
    )


def _read_fields(node: ast.ClassDef, path: str) -> Iterator[Setting]:
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name = statement.target.id
        match following:
            case ast.Expr(value=ast.Constant(value=str(reason))):
                yield Setting(
                    name=name,
                    annotation=ast.unparse(statement.annotation),
                    default=None if statement.value is None else _shown(statement.value),
                    reason=_one_line(reason),
                )
            case _:
                raise TableError(f"{path}: {node.name}.{name} has no docstring that says why")


def _shown(value: ast.expr) -> str:
    """A default as one would say it: `Duration.seconds(60)` is 60 s, `512 * 1024` is 524288."""
    match value:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="Duration"), attr=unit),
            args=[ast.Constant(value=int(number))],
        ):
            return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
        case ast.Call(
            func=ast.Name(id="field"), keywords=[ast.keyword(value=ast.Name(id=factory))]
        ):
            return {"dict": "{}", "tuple": "()"}.get(factory, f"{factory}()")
        case ast.BinOp(
            left=ast.Constant(value=int(left)), op=ast.Mult(), right=ast.Constant(value=int(right))
        ):
            return str(left * right)
        case ast.Constant(value=str(text)):
            return f'"{text}"'
        case ast.Attribute(attr=attr):
            return attr
        case _:
            return ast.unparse(value)


def compact_table(classes: Mapping[str, SettingsClass]) -> str:
    """Every setting of the construct in one table, by the path one reaches it with."""
    rows = [
        (f"`{path}`", _code(setting.default), setting.summary)
        for path, setting in _reachable(classes, ROOT_CLASS)
    ]
    return _table(("setting", "default", "what it is"), rows)


def _reachable(
    classes: Mapping[str, SettingsClass], name: str, prefix: str = ""
) -> Iterator[tuple[str, Setting]]:
    parts: list[tuple[str, str]] = []
    for setting in classes[name].settings:
        part = setting.annotation.removesuffix(" | None")
        if part in classes:
            parts.append((setting.name, part))
        if part not in classes or setting.annotation != part:
            yield f"{prefix}{setting.name}", setting
    for field, part in parts:
        yield from _reachable(classes, part, f"{prefix}{field}.")


def full_tables(classes: Mapping[str, SettingsClass]) -> str:
    """A section a class, with every reason in full."""
    sections = []
    for each in classes.values():
        rows = [
            (f"`{setting.name}`", _code(setting.default), setting.reason)
            for setting in each.settings
        ]
        sections.append(
            f"## {each.name}\n\n{each.summary} Source: [{each.path}](../{each.path}).\n\n"
            + _table(("setting", "default", "what it is, and why"), rows)
        )
    return "\n\n".join(sections)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _code(default: str | None) -> str:
    return "required" if default is None else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def with_table(page: str, marker: str, table: str) -> str:
    """The page with what stands between its markers replaced.

    Raises:
        TableError: the page does not hold both markers, once each.
    """
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise TableError(f"expected {begin} and {end}, once each")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def pages(root: Path = ROOT) -> dict[Path, str]:
    """What each page must hold.

    Raises:
        TableError: a table cannot be made.
    """
    classes = read_classes(root)
    tables = {"README.md": compact_table(classes), "docs/settings.md": full_tables(classes)}
    made = {}
    for name, table in tables.items():
        try:
            text = (root / name).read_text(encoding="utf-8")
            made[root / name] = with_table(text, "settings", table)
        except TableError as error:
            raise TableError(f"{name}: {error}") from error
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if one differs")
    options = parser.parse_args(arguments)
    try:
        made = pages(ROOT)
    except TableError as error:
        sys.exit(str(error))
    stale = [path for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name}: the settings table differs from the code: run this without --check")
        else:
            path.write_text(made[path], encoding="utf-8")
            print(f"wrote the settings table of {name}")
    if not stale:
        print("the settings tables say what the code says")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
