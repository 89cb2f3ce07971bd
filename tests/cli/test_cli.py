"""What can be typed, and how a command ends that cannot begin."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stripe_settlement_cli
from stripe_settlement_cli import cli
from stripe_settlement_cli.cli import ExitCode
from tests.cli.conftest import Ended, Started
from tests.cli.stand_in import StandIn
from tests.support.waiting import SECONDS

PACKAGE = Path(stripe_settlement_cli.__file__).parent


@pytest.mark.parametrize("arguments", [["--help"], ["redrive", "--help"]])
def test_help_explains_every_exit_code(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    told = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert ended.value.code == 0
    assert {str(code.value) for code in ExitCode} <= set(told)


@pytest.mark.parametrize("arguments", [[], ["redrive", "--stack"], ["explain"], ["purge"]])
def test_wrong_arguments_begin_nothing(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert ended.value.code == ExitCode.NOT_BEGUN


@pytest.mark.parametrize("missing", ["boto3", "rich"])
def test_a_missing_package_is_reported_in_one_line_with_the_way_to_get_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == missing else name)

    assert cli.main(["redrive", "--stack", "any"]) == ExitCode.NOT_BEGUN
    (line,) = capsys.readouterr().err.splitlines()
    assert missing in line
    assert "pip install 'stripe-settlement[cli]'" in line


def test_the_program_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("stripe-settlement ")


def test_the_constructs_do_without_boto3_and_rich() -> None:
    script = (
        "import stripe_settlement, stripe_settlement_cli.cli, sys;"
        "print(sorted({'boto3', 'botocore', 'rich'} & sys.modules.keys()))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )

    assert loaded.stdout.strip() == "[]"


def test_the_command_line_imports_neither_the_functions_nor_the_constructs() -> None:
    imported = {
        node.module or ""
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    ours = {name for name in imported if name.startswith(("stripe_settlement", "settlement"))}

    assert ours
    assert all(name.startswith("stripe_settlement_cli") for name in ours)


@pytest.mark.xdist_group("cli")
def test_redrive_needs_neither_the_cdk_nor_node(
    stack: StandIn, start: Callable[..., Started], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules.update(dict.fromkeys(['aws_cdk', 'constructs', 'jsii']))\n"
    )
    event = stack.failed()

    ended = start(PYTHONPATH=str(tmp_path), PATH="").end()

    assert (ended.code, stack.settled()) == (0, {event}), ended.err


@pytest.mark.xdist_group("cli")
def test_an_unknown_stack_begins_nothing(stack: StandIn, run: Callable[..., Ended]) -> None:
    ended = run(stack="unknown")

    assert (ended.code, ended.err.count("\n")) == (ExitCode.NOT_BEGUN, 1)
    assert "There is no stack unknown" in ended.err


@pytest.mark.xdist_group("cli")
def test_an_unknown_profile_begins_nothing(stack: StandIn, run: Callable[..., Ended]) -> None:
    ended = run("--profile", "unknown")

    assert (ended.code, ended.err.count("\n")) == (ExitCode.NOT_BEGUN, 1)


@pytest.mark.xdist_group("cli")
def test_without_a_region_nothing_begins_until_one_is_given(
    stack: StandIn, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)

    assert run().code == ExitCode.NOT_BEGUN
    assert run("--region", "eu-west-1").code == ExitCode.DONE
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert run().code == ExitCode.DONE


@pytest.mark.xdist_group("cli")
def test_an_unreachable_aws_begins_nothing(
    stack: StandIn, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert run().code == ExitCode.NOT_BEGUN
