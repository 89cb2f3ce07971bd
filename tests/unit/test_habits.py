"""Habits of the suite itself, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROCESSES = {"subprocess.run", "subprocess.check_call", "subprocess.check_output"}
WITHOUT_A_LIMIT = {"communicate", "join", "wait"}
"""Methods that wait for ever when they are called without an argument."""


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of every module of the suite, with where it stands."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(TESTS)}:{getattr(node, 'lineno', 0)}", node


def waits_for_ever(call: ast.Call) -> bool:
    """Whether nothing ends the wait for a process or a thread but what it waits for."""
    if ast.unparse(call.func) in PROCESSES:
        return not any(keyword.arg == "timeout" for keyword in call.keywords)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return method in WITHOUT_A_LIMIT and not call.args and not call.keywords


def test_no_wait_of_the_suite_is_for_ever() -> None:
    for_ever = [at for at, node in nodes() if isinstance(node, ast.Call) and waits_for_ever(node)]
    assert for_ever == []


def test_each_test_is_a_function_whose_name_is_the_whole_promise() -> None:
    classes = [
        at
        for at, node in nodes()
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
    ]
    assert classes == []
