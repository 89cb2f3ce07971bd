"""app.py as the CLI runs it, and the files that pin what runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.environment_templates import ENVIRONMENTS
from tests.infrastructure.synthesis import CDK_JSON, cdk_context, payments_stack, template_of
from tests.support.waiting import INSTALLATION_SECONDS

ROOT = CDK_JSON.parent
ANYTHING_WITH_A_HOST = re.compile(r"[a-z+]+://|\bregistry\b", re.IGNORECASE)


def run_app(outdir: Path, **context: object) -> subprocess.CompletedProcess[str]:
    """Run app.py as the CLI does: context in a variable, the assembly into a folder."""
    environment = {
        **os.environ,
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps({**cdk_context(), "aws:cdk:bundling-stacks": [], **context}),
        "CDK_VALIDATION": "false",
    }
    for name in ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALLATION_SECONDS,
    )


def stacks_in(assembly: Path) -> dict[str, dict[str, object]]:
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return {
        name: each for name, each in artifacts.items() if each["type"] == "aws:cloudformation:stack"
    }


def test_app_builds_dev_by_default(tmp_path: Path) -> None:
    assert run_app(tmp_path).returncode == 0
    assert list(stacks_in(tmp_path)) == ["cachao-payments-dev"]


def test_app_builds_the_environment_of_the_context(tmp_path: Path) -> None:
    assert run_app(tmp_path, environment="prod").returncode == 0
    assert list(stacks_in(tmp_path)) == ["cachao-payments-prod"]


def test_app_deploys_anywhere_unless_the_environment_says_where(tmp_path: Path) -> None:
    run_app(tmp_path)
    [stack] = stacks_in(tmp_path).values()
    assert stack["environment"] == "aws://unknown-account/unknown-region"


def test_app_deploys_only_where_the_environment_says(tmp_path: Path) -> None:
    environments = cdk_context()["environments"]
    environments["dev"] |= {"account": "111122223333", "region": "eu-west-1"}
    run_app(tmp_path, environments=environments)

    [stack] = stacks_in(tmp_path).values()
    assert stack["environment"] == "aws://111122223333/eu-west-1"


def test_unknown_environment_is_an_error_of_the_app(tmp_path: Path) -> None:
    finished = run_app(tmp_path, environment="live")

    assert finished.returncode != 0
    assert "cdk.json knows dev, prod" in finished.stderr


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_template_is_the_same_each_time(environment: str) -> None:
    first, second = (template_of(payments_stack(environment)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_template_knows_nothing_of_this_machine(environment: str, tmp_path: Path) -> None:
    run_app(tmp_path, environment=environment)

    template = (tmp_path / f"cachao-payments-{environment}.template.json").read_text()
    assert str(ROOT) not in template
    assert str(Path.home()) not in template


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_template_is_plain_ascii(environment: str) -> None:
    """CloudFormation stores a question mark for anything else, and finds a difference each time."""
    template = json.dumps(template_of(payments_stack(environment)), ensure_ascii=False)
    assert template.isascii(), set(re.findall(r"[^\x00-\x7F]", template))


def test_cli_is_pinned_to_the_version_that_knows_the_library() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert package["devDependencies"]["aws-cdk"] == "2.1148.1"
    assert lock["packages"]["node_modules/aws-cdk"]["version"] == "2.1148.1"


def test_lock_file_names_no_host() -> None:
    assert ANYTHING_WITH_A_HOST.findall((ROOT / "package-lock.json").read_text()) == []


def test_cli_runs_the_python_of_the_virtual_environment_activated_or_not() -> None:
    command = json.loads(CDK_JSON.read_text())["app"]
    assert command == "PATH=.venv/bin:$PATH python3 app.py"


def test_context_decides_every_recommended_feature_flag() -> None:
    templates = ROOT / "node_modules" / "aws-cdk" / "lib" / "init-templates"
    recommended = json.loads((templates / ".recommended-feature-flags.json").read_text())
    assert recommended.keys() <= cdk_context().keys()
