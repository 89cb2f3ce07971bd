"""What an operator may do who redrives the failure queues."""

from functools import reduce

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stripe_settlement.routes.on_sale_queue import OnSaleQueue


class RedriveGrant:
    """The permissions that `stripe-settlement redrive` needs on one stack, and no more."""

    def __init__(
        self,
        scope: Construct,
        *,
        functions: list[lambda_.IFunction],
        queues: list[sqs.IQueue],
        rule: events.IRule,
        on_sale_queue: OnSaleQueue | None,
    ) -> None:
        """Name the parts of the stack that are redriven, and the queue that is looked at."""
        self._scope = scope
        self._functions = [each.function_arn for each in functions]
        self._queues = queues
        self._rule = rule
        self._on_sale_queue = on_sale_queue

    def redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow everything the command does."""
        stack = Stack.of(self._scope)
        # With a star, because who asks for a stack by its name does not know its ARN's end.
        name = f"{stack.stack_name}/*"
        arn = stack.format_arn(service="cloudformation", resource="stack", resource_name=name)
        grants = [
            self.invoke(grantee),
            *(queue.grant_consume_messages(grantee) for queue in self._queues),
            *(
                self._grant(grantee, f"cloudformation:{action}", arn)
                for action in ("DescribeStacks", "GetTemplate", "ListStackResources")
            ),
            self._grant(grantee, "events:ListTargetsByRule", self._rule.rule_arn),
            self._grant(grantee, "lambda:GetFunctionConfiguration", *self._functions),
            self._grant(grantee, "lambda:ListFunctionEventInvokeConfigs", *self._functions),
        ]
        if self._on_sale_queue is not None:
            queue_arn = self._on_sale_queue.queue.queue_arn
            mapping_arn = self._on_sale_queue.mapping.event_source_mapping_arn
            grants += [
                self._grant(grantee, "sqs:GetQueueAttributes", queue_arn),
                self._grant(grantee, "lambda:GetEventSourceMapping", mapping_arn),
            ]
        return reduce(lambda combined, each: combined.combine(each), grants)

    def invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow invoking the functions directly, `$LATEST` alone."""
        return self._grant(grantee, "lambda:InvokeFunction", *self._functions)

    def _grant(self, grantee: iam.IGrantable, action: str, *resource_arns: str) -> iam.Grant:
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=[action], resource_arns=list(resource_arns)
        )
