"""Where functions run: a VPC, its subnets and security groups, as one value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from aws_cdk import aws_ec2 as ec2
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class Network:
    """The database's network, for every function that needs one."""

    vpc: ec2.IVpc
    """The VPC. Its subnets need a way to Secrets Manager: a NAT or an interface endpoint."""

    subnets: ec2.SubnetSelection | None = None
    """Where in the VPC. None: its private subnets."""

    security_groups: tuple[ec2.ISecurityGroup, ...] = ()
    """Of the functions. Empty: one is created, shared by all of them."""

    def with_security_group(self, scope: Construct) -> Self:
        """Return the same network, with a security group created in `scope` if it has none."""
        if self.security_groups:
            return self
        group = ec2.SecurityGroup(
            scope,
            "SecurityGroup",
            vpc=self.vpc,
            description="Functions that settle Stripe payments",
        )
        return replace(self, security_groups=(group,))


def network_of(
    vpc: ec2.IVpc | None,
    *,
    vpc_subnets: ec2.SubnetSelection | None,
    security_groups: Sequence[ec2.ISecurityGroup] | None,
) -> Network | None:
    """Return what CDK's three usual arguments describe; None without a VPC.

    Raises:
        ValueError: subnets or security groups without a VPC, or an empty list of security groups.
    """
    if security_groups is not None and not security_groups:
        raise ValueError(
            "security_groups is empty; a function in a VPC needs at least one. Leave it out to "
            "have one created."
        )
    if vpc is not None:
        return Network(vpc=vpc, subnets=vpc_subnets, security_groups=tuple(security_groups or ()))
    if vpc_subnets is not None or security_groups is not None:
        given = "vpc_subnets" if vpc_subnets is not None else "security_groups"
        raise ValueError(
            f"{given} came without vpc; they are parts of one. Pass the VPC too, for example "
            "ec2.Vpc.from_vpc_attributes(…), or leave both out to run outside any VPC."
        )
    return None
