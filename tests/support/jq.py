"""The part of the command `jq` that the runbook uses, on jq's own library."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import jq  # type: ignore[import-not-found]  # an extension module without stubs


def main() -> None:
    """Read JSON documents from a file or stdin, write what the program makes of them."""
    parser = argparse.ArgumentParser(prog="jq", allow_abbrev=False)
    parser.add_argument("-r", dest="raw", action="store_true")
    parser.add_argument("-n", dest="no_input", action="store_true")
    parser.add_argument("--arg", dest="named", nargs=2, action="append", default=[])
    parser.add_argument("program")
    parser.add_argument("file", nargs="?")
    options = parser.parse_args()
    # The library's own `env` is empty.
    named = dict(options.named) | {"environment": dict(os.environ)}
    program = jq.compile(f"def env: $environment; {options.program}", args=named)
    if options.no_input:
        found = program.input_value(None)
    elif options.file:
        found = program.input_text(Path(options.file).read_text(encoding="utf-8"))
    else:
        found = program.input_text(sys.stdin.read())
    for value in found:
        plain = options.raw and isinstance(value, str)
        text = value if plain else json.dumps(value, indent=2, ensure_ascii=False)
        sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
