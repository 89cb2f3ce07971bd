"""The code of the Lambda functions as one CDK asset, built without Docker where possible.

The asset key is computed from what goes in, never from what comes out: the functions' files, the
hashed lock of their packages, the function's Python and platform, and the build
script. A laptop, a CI runner and an application that installed the wheel arrive at the same key.
"""

import hashlib
import re
from pathlib import Path

from aws_cdk import BundlingOptions
from aws_cdk import aws_lambda as lambda_

from stripe_settlement.bundling.build_asset import Target, source_files
from stripe_settlement.bundling.local import (
    BundlingError,
    Installer,
    LocalBundling,
    Precompile,
    build_script,
    default_cache,
    digest,
)

__all__ = ["BundlingError", "Installer", "Precompile", "settlement_code"]

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_OLDEST_PYTHON = (3, 11)
_OUR_PROJECT = 'name = "stripe-settlement"'


def settlement_code(
    *,
    runtime: lambda_.Runtime,
    architecture: lambda_.Architecture,
    precompile: Precompile = Precompile.WHEN_POSSIBLE,
    installer: Installer | None = None,
    source: Path | None = None,
    cache: Path | None = None,
) -> lambda_.Code:
    """Return the code of every function of this library: one asset, however often this is called.

    Args:
        runtime: the functions' Python runtime, 3.11 or newer.
        architecture: the functions' instruction set.
        precompile: whether the asset holds bytecode.
        installer: what installs the packages. By default uv where there is one, pip otherwise, and
            the runtime's build image in Docker where there is neither.
        source: the root of the functions' code with its `requirements.txt`; by default what this
            library ships.
        cache: folder that caches installed packages; by default in the user's cache folder.

    Raises:
        BundlingError: for a runtime or an architecture that cannot be bundled for. What goes wrong
            while the asset is made ends the synth as CDK's "Failed to bundle asset".
    """
    source = source or shipped_source()
    target = _target(runtime, architecture)
    return lambda_.Code.from_asset(
        str(source),
        asset_hash=asset_key(source, target=target, precompile=precompile),
        bundling=BundlingOptions(
            image=runtime.bundling_image,
            command=_docker_command(target, precompile),
            local=LocalBundling(
                source=source,
                target=target,
                precompile=precompile,
                installer=installer,
                cache=cache or default_cache(),
            ),
        ),
    )


def shipped_source() -> Path:
    """Return the folder of the functions' code: inside the wheel, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    in_wheel, in_checkout = package / "_lambdas", package.parent / "lambdas"
    if in_wheel.is_dir():
        return in_wheel
    # Only beside our own project file: `lambdas` is what many applications call theirs.
    project = package.parent / "pyproject.toml"
    if project.is_file() and _OUR_PROJECT in project.read_text(encoding="utf-8"):
        return in_checkout
    raise BundlingError(
        f"The Lambda code of stripe-settlement is not in {in_wheel}, and {package.parent} is not a "
        "checkout of it. Install the package with pip, from a wheel or the git "
        "repository, instead of copying its folder."
    )


def asset_key(source: Path, *, target: Target, precompile: Precompile) -> str:
    """Return the SHA-256 over every input of the asset, the same on every machine."""
    files = {
        path.as_posix(): hashlib.sha256((source / path).read_bytes()).hexdigest()
        for path in source_files(source)
    }
    return digest(files, build_script(), target.python, target.machine, precompile)


def _target(runtime: lambda_.Runtime, architecture: lambda_.Architecture) -> Target:
    version = re.fullmatch(r"python(\d+)\.(\d+)", runtime.name)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST_PYTHON:
        raise BundlingError(
            f"The runtime is {runtime.name!r}; the functions need python3.11 or newer, "
            "for example `lambda_.Runtime.PYTHON_3_13`."
        )
    if architecture.name not in _MACHINES:
        raise BundlingError(
            f"The architecture is {architecture.name!r}; allowed are {' and '.join(_MACHINES)}, "
            "`lambda_.Architecture.X86_64` and `.ARM_64`."
        )
    return Target(python=f"{version[1]}.{version[2]}", machine=_MACHINES[architecture.name])


def _docker_command(target: Target, precompile: Precompile) -> list[str]:
    """Return a command that holds the script: mounted, its path would be in CDK's key."""
    arguments = ["--source", "/asset-input", "--output", "/asset-output"]
    arguments += ["--python", target.python, "--machine", target.machine]
    if precompile is not Precompile.NEVER:
        arguments.append("--precompile")
    return ["python3", "-c", build_script(), *arguments]
