"""Regenerate the tables of docs/settings.md from the code.

A setting is a field of a frozen dataclass; its default and the docstring under it are what the
tables show. The source is read and never imported, so this needs nothing but Python.

    python scripts/update_settings_tables.py           write the tables
    python scripts/update_settings_tables.py --check   exit 1 if a table differs from the code
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = "docs/settings.md"
SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "stripe_settlement/settings.py": (
        "SettlementSettings",
        "FunctionSettings",
        "EventSettings",
        "OnSaleQueueSettings",
        "WebhookSettings",
        "QueueSettings",
        "StripeAccountSettings",
        "ReconciliationSettings",
        "OperationsSettings",
        "MigrationSettings",
        "LogSettings",
    ),
    "stripe_settlement/monitoring/alarm_settings.py": ("AlarmSettings",),
    "stripe_settlement/database.py": ("DatabaseConnection",),
    "stripe_settlement/order_tables.py": (
        "OrderTables",
        "OrdersTable",
        "TicketsTable",
        "DiscountCodesTable",
        "StatusWords",
    ),
    "stacks/environments.py": ("Environment", "NetworkIds"),
}
"""Which classes are shown, in which order, and where each is written."""


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


@dataclass(frozen=True, kw_only=True)
class SettingsClass:
    """One dataclass."""

    name: str
    path: str
    summary: str
    settings: tuple[Setting, ...]


def read_classes(root: Path = ROOT) -> dict[str, SettingsClass]:
    """Return every class of `SECTIONS`, by its name.

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
    """Return a default as one would say it: `Duration.seconds(60)` is 60 seconds."""
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
        case ast.Attribute(value=ast.Name(id=owner)) if owner.endswith("Settings"):
            return ast.unparse(value)  # another setting, see `_default`
        case ast.Attribute(attr=attr):
            return attr
        case _:
            return ast.unparse(value)


def full_tables(classes: Mapping[str, SettingsClass]) -> str:
    """Return one section per class, with every reason in full."""
    sections = []
    for each in classes.values():
        rows = [
            (f"`{setting.name}`", _code(_default(setting, classes)), setting.reason)
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


def _default(setting: Setting, classes: Mapping[str, SettingsClass]) -> str | None:
    """Return the default, or that of the setting it is taken from."""
    owner, _, name = (setting.default or "").partition(".")
    if owner not in classes:
        return setting.default
    return next(each.default for each in classes[owner].settings if each.name == name)


def _code(default: str | None) -> str:
    return "required" if default is None else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def with_table(page: str, marker: str, table: str) -> str:
    """Return the page with what stands between its markers replaced.

    Raises:
        TableError: the page does not hold both markers, once each.
    """
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise TableError(f"{PAGE}: expected {begin} and {end}, once each")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def settings_page(root: Path = ROOT) -> str:
    """Return what docs/settings.md must hold.

    Raises:
        TableError: a table cannot be made.
    """
    tables = full_tables(read_classes(root))
    return with_table((root / PAGE).read_text(encoding="utf-8"), "settings", tables)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if one differs")
    options = parser.parse_args(arguments)
    try:
        page = settings_page(ROOT)
    except TableError as error:
        sys.exit(str(error))
    stale = (ROOT / PAGE).read_text(encoding="utf-8") != page
    if not stale:
        print(f"{PAGE} says what the code says")
    elif options.check:
        print(f"{PAGE}: the tables differ from the code: run this without --check")
    else:
        (ROOT / PAGE).write_text(page, encoding="utf-8")
        print(f"wrote the tables of {PAGE}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
