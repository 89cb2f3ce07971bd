"""How the cdk CLI is run; the CLI itself is stood in for by a script that says what it was told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from local.servers import cdk
from local.servers.cdk import CdkCli, CdkError

Script = Callable[[str], CdkCli]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    def make(text: str) -> CdkCli:
        stand_in = tmp_path / "cdk"
        stand_in.write_text(f"#!/bin/sh\n{text}\n")
        stand_in.chmod(0o755)
        monkeypatch.setattr(cdk, "_CDK", stand_in)
        environment = {"PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        return CdkCli(environment, directory=tmp_path, environment_name="local")

    return make


def test_deploy_answers_the_stacks_outputs(script: Script, tmp_path: Path) -> None:
    (tmp_path / "stack-outputs.json").write_text(json.dumps({"stack": {"Name": "value"}}))
    assert script("exit 0").deploy("stack", {}) == {"Name": "value"}


def test_deploy_reports_how_many_resources_are_done(script: Script, tmp_path: Path) -> None:
    (tmp_path / "stack-outputs.json").write_text('{"stack": {}}')
    seen: list[tuple[int, int]] = []
    line = "stack |  2/68 | 8:04:19 PM | CREATE_COMPLETE | AWS::SQS::Queue | Queue"
    script(f"echo '{line}'; echo 'stack: deploying'").deploy(
        "stack", {}, report=lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 68)]


def test_what_the_cli_said_last_is_in_the_error(script: Script) -> None:
    with pytest.raises(CdkError, match=r"cdk bootstrap ended with exit code 3:\nno such account\n"):
        script("echo 'no such account' >&2; exit 3").bootstrap("000000000000", "eu-west-1")


def test_error_leaves_out_each_resource_that_was_rolled_back(script: Script) -> None:
    line = "stack |  2/68 | 8:04:19 PM | DELETE_COMPLETE | AWS::SQS::Queue | Queue"
    with pytest.raises(CdkError) as error:
        script(f"echo '{line}'; echo 'Failed resources: Trigger'; exit 1").deploy("stack", {})
    assert str(error.value).splitlines()[1:] == ["Failed resources: Trigger"]


def test_app_is_run_by_this_interpreter_in_the_environment_named(
    script: Script, tmp_path: Path
) -> None:
    script(f'printf "%s\\n" "$@" > {tmp_path}/arguments').destroy("stack")
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:2] == ["destroy", "stack"]
    assert any(each.startswith("--app=") and each.endswith("/app.py") for each in arguments)
    assert "--context=environment=local" in arguments


def test_missing_cli_says_what_installs_it(script: Script, tmp_path: Path) -> None:
    cli = script("exit 0")
    (tmp_path / "cdk").unlink()
    with pytest.raises(CdkError, match="Run `make setup`"):
        cli.destroy("stack")
