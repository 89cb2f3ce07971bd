"""`aws`, as far as our pages use it, for machines that have no AWS CLI: `python -m` this module.

`aws SERVICE OPERATION [--option VALUE]... [--query EXPRESSION] [--output text]`, with the service's
own model behind it: an operation or an option that AWS does not know is an error here too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name


def main(arguments: list[str]) -> str:
    """Carry out one command. Return what it prints."""
    service, operation, *rest = arguments
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    query, output = options.pop("--query", None), options.pop("--output", "json")
    client: Any = boto3.client(service)  # type: ignore[call-overload]
    model = client.meta.service_model
    [shape] = [
        model.operation_model(name).input_shape
        for name in model.operation_names
        if xform_name(name, "-") == operation
    ]
    members = {f"--{xform_name(name, '-')}": name for name in shape.members}
    read: dict[str, Callable[[str], Any]] = {"integer": int, "list": lambda value: [value]}
    parameters = {
        members[option]: read.get(shape.members[members[option]].type_name, str)(value)
        for option, value in options.items()
    }
    answer = getattr(client, xform_name(operation.replace("-", "_")))(**parameters)
    del answer["ResponseMetadata"]
    found = jmespath.search(query, answer) if query else answer
    if output == "text":
        return "\t".join(map(str, found if isinstance(found, list) else [found]))
    return json.dumps(found, indent=4, default=str) if found else ""


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1:])}\n")
