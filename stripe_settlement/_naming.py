"""One thing has one name: physical names, alarms and labels are made of a construct's id."""

import re


def physical_name(prefix: str | None, noun: str) -> str | None:
    """Return `<prefix>-<noun>` in kebab case; None without a prefix, so CloudFormation chooses."""
    return f"{prefix}-{_kebab_case(noun)}" if prefix else None


def pascal_case(label: str) -> str:
    """Return `Stripe event DLQ` as `StripeEventDLQ`; a label in that form stays as it is."""
    words = re.split(r"[^A-Za-z0-9]+", label)
    return "".join(word[:1].upper() + word[1:] for word in words)


def _kebab_case(noun: str) -> str:
    """Return `StripeEventDLQ` and `Stripe event DLQ` as `stripe-event-dlq`."""
    boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[ -]+"
    return re.sub(boundary, "-", noun).lower()
