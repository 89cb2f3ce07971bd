"""Customer-managed keys: who may use one, through which service, and log groups under one."""

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from stripe_settlement.settings import LogSettings

_LOG_ACTIONS = (
    "kms:Decrypt*",
    "kms:Describe*",
    "kms:Encrypt*",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
)
"""As "Encrypt log data in CloudWatch Logs using AWS KMS" has them."""


def key_statement(
    scope: IConstruct,
    key: kms.IKey,
    *,
    sid: str,
    actions: list[str],
    via: str,
    region: str | None = None,
) -> iam.PolicyStatement:
    """Allow a role to use a key, but only through the service that encrypts with it.

    Args:
        scope: whose stack tells the partition and, by default, the region.
        key: a key or an alias. A policy that names an alias's ARN grants nothing: of an alias of
            this app the key behind it is named, of an imported one every key that has the alias.
        sid: names the statement.
        actions: of KMS.
        via: the service, as `sqs`.
        region: where the service uses the key.
    """
    stack = Stack.of(scope)
    conditions: dict[str, object] = {
        "StringEquals": {"kms:ViaService": f"{via}.{region or stack.region}.{stack.url_suffix}"}
    }
    arn, _, alias = key_behind(key).key_arn.partition(":alias/")
    if alias:
        arn = f"{arn}:key/*"
        conditions["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": f"alias/{alias}"}
    return iam.PolicyStatement(sid=sid, actions=actions, resources=[arn], conditions=conditions)


def key_behind(key: kms.IKey) -> kms.IKey:
    """Return the key of an alias that this app has created; anything else as it is."""
    return key.alias_target_key if isinstance(key, kms.Alias) else key


def allow_service(
    scope: Construct,
    key: kms.IKey,
    *,
    service: str,
    sid: str,
    actions: Sequence[str],
    conditions: Mapping[str, object],
    warning: str,
    otherwise: str,
) -> None:
    """Allow a service to use a key by the key's own policy, or warn where that cannot be changed.

    Args:
        scope: what the warning is about.
        key: the key.
        service: its principal.
        sid: names the statement.
        actions: of KMS.
        conditions: what limits the service to this account or resource.
        warning: ends the warning's id.
        otherwise: what happens if the policy of an imported key lacks it.
    """
    granted = key_behind(key).add_to_resource_policy(
        iam.PolicyStatement(
            sid=sid,
            principals=[iam.ServicePrincipal(service)],
            actions=list(actions),
            resources=["*"],  # In a key's policy this is the key itself.
            conditions=conditions,
        )
    )
    if not granted.statement_added:
        Annotations.of(scope).add_warning_v2(
            f"stripe-settlement:{warning}",
            f"{scope.node.path} uses an imported KMS key, whose policy cannot be changed from "
            f"here. Unless that policy allows {service} to call {' and '.join(actions)}, "
            f"{otherwise}. Check it, then acknowledge this warning; or pass a key created in this "
            "app.",
        )


def log_group(scope: Construct, construct_id: str, settings: LogSettings) -> logs.LogGroup:
    """Create a log group, under a key that CloudWatch Logs may use if the settings name one.

    Raises:
        ValueError: an imported alias, which a log group does not take.
    """
    key = settings.encryption_key and key_behind(settings.encryption_key)
    if key is not None:
        stack = Stack.of(scope)
        if ":alias/" in key.key_arn:
            raise ValueError(
                "LogSettings.encryption_key is an imported alias; allowed is a key, because a log "
                "group takes no alias. Import the key, with kms.Key.from_key_arn(…)."
            )
        groups = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name="*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        allow_service(
            scope,
            key,
            service=f"logs.{stack.region}.{stack.url_suffix}",
            sid="AllowLogGroupsToUseKey",
            actions=_LOG_ACTIONS,
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            warning="log-group-key",
            otherwise="the log group cannot be created and the deployment fails",
        )
    return logs.LogGroup(
        scope,
        construct_id,
        retention=settings.retention,
        removal_policy=settings.removal_policy,
        encryption_key=key,
    )
