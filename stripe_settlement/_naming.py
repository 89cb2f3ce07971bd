"""One thing has one name: physical names, alarms and labels are made of a construct's id."""

import re

from aws_cdk import Stack
from constructs import Construct

from stripe_settlement._validation import is_unresolved


def physical_name(prefix: str | None, noun: str) -> str | None:
    """Return `<prefix>-<noun>` in kebab case; None without a prefix, so CloudFormation chooses."""
    return f"{prefix}-{_kebab_case(noun)}" if prefix else None


def name_by_path(scope: Construct) -> str:
    """Return the stack's name and the construct's path in it, as `Shop-Settlement`."""
    stack = Stack.of(scope)
    path = scope.node.path.removeprefix(stack.node.path).strip("/")
    return "-".join([stack.stack_name, *path.split("/")])


def api_name(prefix: str | None, scope: Construct) -> str:
    """Return `CachaoApi` for the prefix `cachao`; without a prefix a name made of the path."""
    if prefix is None:
        return name_by_path(scope)
    return f"{prefix}-api" if is_unresolved(prefix) else f"{pascal_case(prefix)}Api"


def pascal_case(label: str) -> str:
    """Return `Stripe event DLQ` as `StripeEventDLQ`; a label in that form stays as it is."""
    words = re.split(r"[^A-Za-z0-9]+", label)
    return "".join(word[:1].upper() + word[1:] for word in words)


def _kebab_case(noun: str) -> str:
    """Return `StripeEventDLQ` and `Stripe event DLQ` as `stripe-event-dlq`."""
    boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[ -]+"
    return re.sub(boundary, "-", noun).lower()
