"""A package index in a folder, so that bundling is tested without a network."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Index:
    """A folder of wheels that stands for the package index, and the lock that pins them."""

    folder: Path

    def wheel(self, name: str, tag: str = "py3-none-any", **files: str) -> None:
        """Add a wheel whose module `name/__init__.py` tells the tag it was made for."""
        info = f"{name}-1.0.dist-info"
        content = {
            f"{name}/__init__.py": f"TAG = {tag!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            **{f"{name}/{path.replace('__', '/')}.py": text for path, text in files.items()},
        }
        record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
        with zipfile.ZipFile(self.folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
            for path, text in (content | {f"{info}/RECORD": record}).items():
                wheel.writestr(path, text)

    def lock(self, *names: str) -> str:
        """Pin packages with the hashes of every file the index has for them."""
        lines = []
        for name in names:
            hashes = [
                f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
                for file in sorted(self.folder.glob(f"{name}-1.0*"))
            ]
            lines.append(" \\\n    ".join([f"{name}==1.0", *hashes]))
        return "\n".join(lines) + "\n"
