"""What every command begins with: whose account, which stack, where to print."""

import json
import os
import sys
from argparse import Namespace
from typing import Any, Final

from rich.markup import escape
from rich.prompt import Confirm

from stripe_settlement_cli.aws import Clients
from stripe_settlement_cli.deployment import Deployment, DeploymentError, Finder
from stripe_settlement_cli.report import console, say

JSON_VERSION: Final = 1
"""Of the documents that `--json` prints. A field may come; one that goes or changes raises it."""

_COMPONENTS: Final = ["StripeEventBridgeHandler", "StripePaymentFunction"]
"""The tag `Component` of the functions that settle, as the construct sets it."""


class Context:
    """One run of a command on one stack."""

    def __init__(self, asked: Namespace) -> None:
        """Find the stack and print the first line.

        Args:
            asked: what the command line says.

        Raises:
            DeploymentError: no stack, or none of several, is meant, or it is not ours.
            BotoCoreError, ClientError: no such profile, no region, AWS denied or not reached.
        """
        self.json: Final[bool] = asked.json
        self._yes: Final[bool] = asked.yes
        self.out: Final = console(stderr=asked.json)
        """Where what is for people goes: away from the document, if there is one."""
        self.err: Final = console(stderr=True)
        self.clients: Final = Clients(profile=asked.profile, region=asked.region)
        name = asked.stack or os.environ.get("SETTLEMENT_STACK") or self._only_stack()
        with self.err.status(f"Looking through stack {escape(name)}"):
            self.deployment: Final[Deployment] = Finder(self.clients.client, name).find()
        say(self.out, self.deployment.headline, "bold")

    def confirm(self, question: str) -> bool:
        """Ask the operator; without a terminal, or with `--yes`, the answer is yes."""
        if self._yes or not sys.stdin.isatty():
            return True
        return Confirm.ask(escape(question), console=self.err, default=False)

    def print_document(self, command: str, exit_code: int, **fields: Any) -> None:
        """Print the document of `--json`, if it was asked for."""
        if not self.json:
            return
        name, account, region, mode = self.deployment.headline.split(" · ")
        document = {
            "version": JSON_VERSION,
            "command": command,
            "stack": name,
            "account": account,
            "region": region,
            "mode": mode,
            "exit_code": int(exit_code),
            **fields,
        }
        print(json.dumps(document, indent=2))  # noqa: T201 - stdout is the document's

    def _only_stack(self) -> str:
        """Return the only stack whose functions are tagged as the construct tags them."""
        pages = self.clients.client("resourcegroupstaggingapi").get_paginator("get_resources")
        found = {
            tag["Value"]
            for page in pages.paginate(
                TagFilters=[{"Key": "Component", "Values": _COMPONENTS}],
                ResourceTypeFilters=["lambda:function"],
            )
            for resource in page["ResourceTagMappingList"]
            for tag in resource["Tags"]
            if tag["Key"] == "aws:cloudformation:stack-name"
        }
        if len(found) == 1:
            return str(found.pop())
        if not found:
            raise DeploymentError(
                "No stack here is tagged as ours. Name it: --stack NAME, or SETTLEMENT_STACK."
            )
        names = "".join(f"\n  {name}" for name in sorted(found))
        raise DeploymentError(f"Which stack? Name it: --stack NAME, or SETTLEMENT_STACK.{names}")
