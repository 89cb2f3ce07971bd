"""Build the Lambda asset on this machine: installer, interpreter, and the cache."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import jsii
from aws_cdk import DockerImage, ILocalBundling

from stripe_settlement.bundling import build_asset
from stripe_settlement.bundling.build_asset import BuildError, PackageInstaller, Target

_WITHOUT_ASSET = (
    'an `App(post_cli_context={"aws:cdk:bundling-stacks": []})` synthesises without making the '
    "asset (the cdk CLI overrides that value in cdk.json and in `App(context=…)`)"
)


class Installer(StrEnum):
    """What installs the functions' packages."""

    UV = "uv"
    PIP = "pip"
    DOCKER = "docker"
    """AWS's build image of the runtime, with its own Python and pip."""


class Precompile(StrEnum):
    """Whether the asset holds bytecode, without which every cold start compiles what it imports.

    Only an interpreter of the function's own `major.minor` can make it, and whether a machine has
    one must not change the asset key. With `WHEN_POSSIBLE` two machines therefore agree on the key
    and may differ in the start-up time of what they upload under it; CDK uploads a key once, so the
    first to deploy decides. `REQUIRED` and `NEVER` are declared and so part of the key: what is
    behind it has bytecode, or has none, whoever uploaded it.
    """

    WHEN_POSSIBLE = "when-possible"
    REQUIRED = "required"
    NEVER = "never"


class BundlingError(RuntimeError):
    """The asset cannot be made as asked: what came, what is allowed, and a hint."""


@jsii.implements(ILocalBundling)
class LocalBundling:
    """Makes the asset in CDK's output folder; called only when it is not there yet."""

    def __init__(
        self,
        *,
        source: Path,
        target: Target,
        precompile: Precompile,
        installer: Installer | None,
        cache: Path | None,
    ) -> None:
        self._source = source
        self._requirements = source / "requirements.txt"
        self._target = target
        self._precompile = precompile
        self._wanted = installer
        self._cache = cache

    def try_bundle(self, output_dir: str, *, image: DockerImage, **_: Any) -> bool:  # noqa: ARG002
        """Build the asset and return True, or False for CDK to build it in Docker.

        Raises:
            BundlingError: what should have worked did not; falling back to another way would hide
            it.
        """
        output = Path(output_dir)
        interpreter = self._interpreter()
        if self._wanted is Installer.DOCKER:
            return self._leave_to_docker("`installer=Installer.DOCKER`")
        if interpreter is None and self._precompile is Precompile.REQUIRED:
            return self._leave_to_docker(
                f"`Precompile.REQUIRED`, and there is no python{self._target.python} on the PATH"
            )
        entry = self._cache_entry(compiled=interpreter is not None)
        if entry and os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir raises where it may not look
            shutil.copytree(entry, output, dirs_exist_ok=True)
        else:
            installer = find_installer(self._wanted)
            if installer is None:
                return self._leave_to_docker("neither uv nor pip is installed")
            self._install(installer, output)
            if interpreter:
                build_asset.compile_bytecode(interpreter, output, [output])
            if entry:
                _keep(output, entry)
        own_files = build_asset.add_source(self._source, output)
        if interpreter:
            own_python = [path for path in own_files if path.suffix == ".py"]
            build_asset.compile_bytecode(interpreter, output, own_python)
        return True

    def _interpreter(self) -> str | None:
        """Return an interpreter whose bytecode the function can run, if wanted and found."""
        if self._precompile is Precompile.NEVER:
            return None
        candidates = (sys.executable, shutil.which(f"python{self._target.python}"))
        return next((p for p in candidates if p and bytecode_of(p) == self._target.python), None)

    def _cache_entry(self, *, compiled: bool) -> Path | None:
        """Return where installed packages are cached: by what they were made from, and how."""
        if self._cache is None:
            return None
        key = digest(
            self._requirements.read_text(encoding="utf-8"),
            build_script(),
            self._target.python,
            self._target.machine,
        )
        return self._cache / f"packages-{key[:32]}-{'compiled' if compiled else 'source'}"

    def _install(self, installer: PackageInstaller, output: Path) -> None:
        try:
            build_asset.install_packages(
                installer, requirements=self._requirements, target=self._target, into=output
            )
        except BuildError as error:
            raise BundlingError(
                f"{installer.name} did not install the functions' packages for Python "
                f"{self._target.python} on {self._target.machine}. {error}\n"
                f"Allowed are the wheels that {self._requirements} pins and hashes. A machine "
                "needs its package index once; later synths use the cache. Hints: "
                "`installer=Installer.PIP` or `.UV` where only that one knows your index; "
                f"`installer=Installer.DOCKER` for AWS's build image; {_WITHOUT_ASSET}."
            ) from error

    def _leave_to_docker(self, reason: str) -> Literal[False]:
        """Leave it to Docker and say so; raise where no engine is running."""
        docker = shutil.which(os.environ.get("CDK_DOCKER", "docker"))  # as CDK chooses it
        if docker is None or _status([docker, "version"]) != 0:
            raise BundlingError(
                f"The functions' asset would have to be built in Docker ({reason}), and no Docker "
                "engine is running. Start one; or install uv or pip, put a "
                f"python{self._target.python} on the PATH if bytecode is required, and leave "
                f"`installer` out; {_WITHOUT_ASSET}."
            )
        sys.stderr.write(f"The functions' asset is built in Docker: {reason}.\n")
        return False


def find_installer(wanted: Installer | None) -> PackageInstaller | None:
    """Return the installer asked for, or else uv or pip, of this interpreter or on the PATH."""
    names: tuple[Literal["uv", "pip"], ...] = ("uv", "pip")
    for name in names:
        if wanted not in (None, name):
            continue
        module = importlib.util.find_spec(name)
        if module and module.origin:
            return PackageInstaller(name=name, command=(sys.executable, "-m", name))
        if on_path := shutil.which(name):
            return PackageInstaller(name=name, command=(on_path,))
    if wanted is not None:
        raise BundlingError(
            f"`installer=Installer.{wanted.name}` was asked for, and {wanted} is neither a module "
            f"of {sys.executable} nor on the PATH. Install it (`pip install {wanted}`) or leave "
            f"`installer` out to use what there is; {_WITHOUT_ASSET}."
        )
    return None


def bytecode_of(interpreter: str) -> str | None:
    """Return the `major.minor` whose bytecode a released CPython writes; None for anything else."""
    script = (
        "import sys; v = sys.version_info; print(f'{v.major}.{v.minor}'"
        " if (sys.implementation.name, v.releaselevel) == ('cpython', 'final') else '')"
    )
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [interpreter, "-I", "-c", script], capture_output=True, text=True, check=False
        )
    except OSError:  # found, but not a program of this machine
        return None
    return done.stdout.strip() or None


def default_cache() -> Path | None:
    """Return the folder for installed packages, among the user's caches; None without a home."""
    with suppress(RuntimeError):  # no HOME, and no entry in passwd, as in many a container
        return _user_caches() / "stripe-settlement"
    return None


def _user_caches() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def build_script() -> str:
    """Return the build script, an input of the keys and what Docker runs."""
    return Path(build_asset.__file__).read_text(encoding="utf-8")


def digest(*inputs: object) -> str:
    """Return the SHA-256 over inputs that JSON can hold."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _keep(made: Path, entry: Path) -> None:
    """Keep a copy of the installed packages for the next synth, where that is possible.

    Copied beside its place and moved there whole: a synth that is killed leaves no half an entry,
    and of two at once the later one finds the place taken.
    """
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="making-", dir=entry.parent, ignore_cleanup_errors=True
        ) as making:
            copy = Path(making) / entry.name
            shutil.copytree(made, copy)
            copy.rename(entry)


def _status(command: list[str]) -> int:
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - no shell
    return done.returncode
