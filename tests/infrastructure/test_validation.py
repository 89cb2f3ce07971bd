"""What is known at synthesis is told without asking the CDK's process, and as the CDK tells it."""

import pytest
from aws_cdk import Aws, Fn, Token

from stripe_settlement._validation import is_unresolved


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "${NotAToken}",
        7,
        -(2**63),
        True,
        1.5,
        None,
        Aws.REGION,
        f"prefix-{Aws.ACCOUNT_ID}-suffix",
        Token.as_number({"Ref": "Any"}),
        Token.as_string({"Ref": "Any"}),
        Fn.get_att("Any", "Arn"),
    ],
    ids=repr,
)
def test_a_value_is_a_token_where_the_cdk_says_so(value: object) -> None:
    assert is_unresolved(value) is Token.is_unresolved(value)
