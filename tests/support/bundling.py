"""What the bundling tests share: versions, pretended programs, a look inside an asset."""

import importlib.util
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_lambda as lambda_

from stripe_settlement.bundling.code import settlement_code

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER_PYTHON = "3.13" if THIS_PYTHON != "3.13" else "3.12"


def files_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def without(*modules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide installers that this interpreter has as modules."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in modules else find_spec(name),
    )


def synthesised_keys(tmp_path: Path, source: Path, *, skip_bundling: bool = False) -> list[str]:
    """The S3 keys of the code of two functions in each of two stacks of one app."""
    context: dict[str, list[str]] = {"aws:cdk:bundling-stacks": []} if skip_bundling else {}
    app = App(
        outdir=str(tmp_path / f"cdk.out-{skip_bundling}"),
        context=context,
        builtin_cloud_formation_validation=False,  # slow, and not what is asked here
    )
    runtime = lambda_.Runtime(f"python{THIS_PYTHON}", lambda_.RuntimeFamily.PYTHON)
    for stack in (Stack(app, "One"), Stack(app, "Two")):
        for name in ("StripeEventBridgeHandler", "StripePaymentFunction"):
            code = settlement_code(
                runtime=runtime,
                architecture=lambda_.Architecture.X86_64,
                source=source,
                cache=tmp_path / "cache",
            )
            lambda_.Function(stack, name, code=code, handler="h.handler", runtime=runtime)
    assembly = app.synth()
    return [
        resource["Properties"]["Code"]["S3Key"]
        for stack in assembly.stacks
        for resource in stack.template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
