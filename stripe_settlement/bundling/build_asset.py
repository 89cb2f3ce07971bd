"""Build the Lambda asset: the functions' files and their packages, for Lambda's platform.

Standard library only, and one file: the synthesising interpreter imports it, and AWS's build image
runs the same text as a script when the machine has no installer. Its text is also an input of the
asset key, so that a change here is never deployed under an old key.
"""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LAMBDA_ROOT = "/var/task"
"""Where Lambda unpacks the asset; tracebacks of precompiled files name this place."""

NOT_SOURCE = (".*", "__pycache__", "*.pyc", "*.pyo", "tests", "requirements.in")
"""Names under the functions' folder that are never shipped.

pip compiles what it installs, so bytecode would make an installed wheel's asset key differ from the
checkout's, and from one installation to the next."""


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """Paths of the installed packages that the zip does without, and why that is safe."""

    paths: tuple[str, ...]
    """Glob patterns relative to the root of the asset."""
    reason: str


EXCLUDED = (
    Excluded(
        paths=(
            "bin",
            "*.dist-info/RECORD",
            "*.dist-info/INSTALLER",
            "*.dist-info/REQUESTED",
            "*.dist-info/direct_url.json",
            "*.dist-info/uv_cache.json",
            "*.dist-info/uv_build.json",
            ".lock",
        ),
        reason="The installer's own records and scripts: they differ between uv, pip and machines.",
    ),
    Excluded(
        paths=tuple(
            pattern
            for package in ("requests", "urllib3", "certifi", "charset_normalizer", "idna")
            for pattern in (package, f"{package}-*.dist-info")
        ),
        reason=(
            "stripe's HTTP client. What verifies signatures calls nobody, and what calls Stripe "
            "does it over the standard library's urllib; stripe looks for requests when it is "
            "imported and starts faster where there is none."
        ),
    ),
    Excluded(
        # What stays begins with c or v: `checkout`, and of `v2` what is at its top and `core`.
        paths=("stripe/[!cv]*/", "stripe/climate/", "stripe/v2/[!c]*/", "stripe/v2/commerce/"),
        reason=(
            "stripe's subpackages: parameter types, resources and services of the API client, "
            "loaded by name on first use. Verifying a signature uses modules at stripe's top level "
            "only; the calls to Stripe use webhook endpoints, event destinations and checkouts."
        ),
    ),
    Excluded(
        paths=(
            "aws_lambda_powertools/event_handler",
            *(
                f"aws_lambda_powertools/utilities/{utility}"
                for utility in (
                    "auth_alpha",
                    "batch",
                    "circuit_breaker",
                    "data_classes",
                    "data_masking",
                    "feature_flags",
                    "idempotency",
                    "kafka",
                    "metadata",
                    "parameters",
                    "parser",
                    "streaming",
                    "validation",
                )
            ),
        ),
        reason="Powertools beyond Logger and Metrics: routers, parsers, clients nothing imports.",
    ),
)
"""What the packages ship and the functions never use, in one place.

The packaging tests run the handlers' imports and a signature check on what is left, and fail on a
pattern that no longer matches anything."""


REACHES_THE_INDEX = (
    "INDEX|LINKS|HOST|CERT|TLS|PROXY|TIMEOUT|RETRIES|KEYRING|OFFLINE|CONFIG_FILE|CACHE|CREDENTIAL"
)
"""Which of the installers' own variables the install keeps: where packages come from. The others
(PIP_USER, PIP_CONSTRAINT, UV_OVERRIDE, …) would change what is installed, or where."""


class BuildError(RuntimeError):
    """The asset cannot be made here; the message holds what the installer or the compiler said."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the packages are resolved for: the function's environment, never this machine's."""

    python: str
    """`major.minor` of the function's runtime."""
    machine: str
    """`x86_64` or `aarch64`."""


@dataclass(frozen=True, kw_only=True)
class PackageInstaller:
    """A program that installs wheels for another platform than its own."""

    name: Literal["uv", "pip"]
    command: tuple[str, ...]
    """How to start it."""


def source_files(source: Path) -> list[Path]:
    """Return the shipped files of the functions' folder, relative to it, always in one order."""

    def shipped(path: Path) -> bool:
        return not any(fnmatch.fnmatchcase(part, p) for part in path.parts for p in NOT_SOURCE)

    found = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    return sorted(filter(shipped, found), key=Path.as_posix)


def install_command(
    installer: PackageInstaller, *, requirements: Path, target: Target, into: Path
) -> list[str]:
    """Return the command that puts the locked wheels of the target into a folder.

    `--no-deps` because the lock is complete: whatever is not locked is not installed. manylinux2014
    is the platform that Lambda's guide names ("Working with .zip file archives for Python Lambda
    functions"); both installers accept older wheels for it as well.
    """
    common = [
        *("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--target", str(into.resolve()), "--python-version", target.python),
        *("--requirement", str(requirements.resolve())),
    ]
    if installer.name == "uv":
        # Without uv's cache: what is installed is cached here, and uv ends where it has no home.
        own = ["--python", sys.executable, "--no-cache", "--no-compile-bytecode"]
        platform = ["--python-platform", f"{target.machine}-manylinux2014"]
        return [*installer.command, "pip", *common, *own, *platform]
    own = ["--no-compile", "--no-input", "--no-user", "--disable-pip-version-check"]
    own += ["--implementation", "cp"]
    platform = ["--platform", f"manylinux2014_{target.machine}"]
    return [*installer.command, *common, *own, *platform]


def install_packages(
    installer: PackageInstaller, *, requirements: Path, target: Target, into: Path
) -> None:
    """Install the locked packages for the target and drop what the functions never use.

    Away from the project, whose `[tool.uv]` may override or constrain what the lock says.
    """
    into.mkdir(parents=True, exist_ok=True)
    command = install_command(installer, requirements=requirements, target=target, into=into)
    with tempfile.TemporaryDirectory() as elsewhere:
        _run(command, environment=installers_environment(), cwd=elsewhere)
    _exclude(into)
    _make_readable(into)


def installers_environment() -> dict[str, str]:
    """Return the environment without what would change what is installed, or where."""
    return {
        name: value
        for name, value in os.environ.items()
        if not re.match("(PIP|UV)_", name) or re.search(REACHES_THE_INDEX, name)
    }


def add_source(source: Path, into: Path) -> list[Path]:
    """Copy the functions' own files beside their packages, and return them."""
    copied = []
    for relative in source_files(source):
        copy = into / relative
        if copy.exists():
            raise BuildError(
                f"{relative.as_posix()} comes from a package as well as from {source}, and one "
                "would hide the other. Rename the functions' file."
            )
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / relative, copy)
        copied.append(copy)
    _make_readable(into)
    return copied


def compile_bytecode(interpreter: str, root: Path, paths: Iterable[Path]) -> None:
    """Compile files in place for Lambda.

    Lambda's disk is read-only, so what is not compiled here is compiled at every cold start. The
    bytecode is *unchecked*: otherwise Python compares it with modification times, and a zip changes
    them.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash"]
    _run(
        [
            *(interpreter, "-m", "compileall", *options, "-s", str(root), "-p", LAMBDA_ROOT),
            *(str(path) for path in paths),
        ],
        # A fixed seed keeps the order of constant sets, and so the bytes, the same from run to run.
        environment={**environment, "PYTHONHASHSEED": "0"},
    )
    _make_readable(root)


def _exclude(root: Path) -> None:
    for rule in EXCLUDED:
        for pattern in rule.paths:
            for path in root.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _make_readable(root: Path) -> None:
    """Give every file a mode that Lambda can read: a zip keeps modes, and umasks differ."""
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _run(command: Sequence[str], *, environment: dict[str, str], cwd: str | None = None) -> None:
    done = subprocess.run(  # noqa: S603 - the command is built above, without a shell
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        reported = (done.stderr.strip() or done.stdout.strip())[-4000:]
        raise BuildError(f"`{command[0]} …` exited with status {done.returncode}:\n{reported}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the whole asset with this interpreter and its pip: what runs in the build image."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--precompile", action="store_true")
    options = parser.parse_args(arguments)
    install_packages(
        PackageInstaller(name="pip", command=(sys.executable, "-m", "pip")),
        requirements=options.source / "requirements.txt",
        target=Target(python=options.python, machine=options.machine),
        into=options.output,
    )
    add_source(options.source, options.output)
    if options.precompile:
        compile_bytecode(sys.executable, options.output, [options.output])


if __name__ == "__main__":
    main()
