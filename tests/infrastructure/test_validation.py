"""What is known at synthesis is told without asking the CDK's process, and as the CDK tells it."""

import pytest
from aws_cdk import Aws, Fn, Token

from stripe_settlement._validation import is_unresolved

VALUES: dict[str, object] = {
    "text": "text",
    "no text": "",
    "a text that looks like a token": "${NotAToken}",
    "a number": 7,
    "a number below every token": -(2**63),
    "a flag": True,
    "a fraction": 1.5,
    "nothing": None,
    "a pseudo parameter": Aws.REGION,
    "a pseudo parameter in a text": f"prefix-{Aws.ACCOUNT_ID}-suffix",
    "a number known at deployment": Token.as_number({"Ref": "Any"}),
    "a text known at deployment": Token.as_string({"Ref": "Any"}),
    "an attribute": Fn.get_att("Any", "Arn"),
}
"""By names of their own: a token's text differs from process to process."""


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_is_a_token_where_the_cdk_says_so(value: object) -> None:
    assert is_unresolved(value) is Token.is_unresolved(value)
