"""MiniStack's modules. They read the environment when they are imported: configure it before.

The only import of MiniStack in this repository, so the only place where mypy meets untyped code.
"""

from ministack.app import app  # type: ignore[import-untyped]
from ministack.core import (  # type: ignore[import-untyped]
    iam_evaluator,
    lambda_runtime,
    responses,
)
from ministack.services import (  # type: ignore[import-untyped]
    apigateway_v1,
    cloudformation,
    cloudwatch,
    eventbridge,
    lambda_svc,
    secretsmanager,
    sqs,
)
from ministack.services.cloudformation import (  # type: ignore[import-untyped]
    custom_resource,
    provisioners,
    stacks,
)

__all__ = [
    "apigateway_v1",
    "app",
    "cloudformation",
    "cloudwatch",
    "custom_resource",
    "eventbridge",
    "iam_evaluator",
    "lambda_runtime",
    "lambda_svc",
    "provisioners",
    "responses",
    "secretsmanager",
    "sqs",
    "stacks",
]
