"""How the functions reach the database and its credentials."""

from dataclasses import dataclass
from ipaddress import IPv6Address

from aws_cdk import Tokenization
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import IConstruct

from stripe_settlement._validation import Checked, is_unresolved, require_between, require_match
from stripe_settlement.encryption import key_statement
from stripe_settlement.order_tables import OrderTables


@dataclass(frozen=True, kw_only=True)
class DatabaseConnection(Checked):
    """The MariaDB that holds the orders.

    Raises:
        ValueError: a URL or an endpoint with a port where a host name belongs, or no such port.
    """

    host: str
    """Host name or address of the writer."""

    name: str
    """The schema that holds the shop's tables, and ours."""

    secret: secretsmanager.ISecret
    """JSON secret with `password` and, optionally, `username`: what RDS manages fits. Read when it
    is needed and again when the database rejects it, so a rotation is no outage. One under a
    customer-managed key is imported with that key, `Secret.from_secret_attributes(…,
    encryption_key=…)`: the functions may then decrypt it."""

    user: str | None = None
    """Used only if the secret holds no `username`."""

    port: int | str = 3306
    """TCP port: a number, or the token of one such as RDS's `db_instance_endpoint_port`."""

    tls: bool = True
    """Whether the connection is encrypted and the server's certificate verified."""

    ca_file: str | None = None
    """PEM file of the authorities that vouch for the server, as a path inside the function. None:
    Amazon's for RDS, which are in the asset."""

    tables: OrderTables = OrderTables()  # noqa: RUF009 - frozen, in a file of its own
    """What the shop's tables and columns are called, and in which unit their amounts are."""

    def _check(self) -> None:
        if not _is_ipv6(self.host):
            require_match(
                "host",
                self.host,
                r"[A-Za-z0-9._-]+",
                allowed="a host name or an address alone; the port is a field of its own",
            )
        require_match("name", self.name, r"[^\s/`]{1,64}", allowed="the name of a schema")
        if not isinstance(self.port, str):
            require_between("port", self.port, 1, 65_535)
        elif not is_unresolved(self.port):
            raise TypeError(f"port is {self.port!r}; allowed is a number, such as 3306.")

    def environment(self) -> dict[str, str]:
        """Return the functions' variables: not the credentials, only their address."""
        variables = {
            "DB_HOST": self.host,
            "DB_PORT": self.port
            if isinstance(self.port, str)
            else Tokenization.stringify_number(self.port),
            "DB_NAME": self.name,
            "DB_SECRET_ARN": self.secret.secret_arn,
            "ORDER_TABLES": self.tables.to_json(),
        }
        if self.user is not None:
            variables["DB_USER"] = self.user
        if not self.tls:
            variables["DB_TLS"] = "off"
        if self.ca_file is not None:
            variables["DB_TLS_CA"] = self.ca_file
        return variables


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def secret_statements(
    scope: IConstruct, secret: secretsmanager.ISecret, *, noun: str
) -> list[iam.PolicyStatement]:
    """Return what a role needs to read the value of one secret, and nothing else of it.

    `ISecret.grant_read` would allow `DescribeSecret` too, which the functions never call.

    Args:
        scope: whose stack tells the partition.
        secret: an owned one, or one imported by ARN or by name.
        noun: ends the statements' sids, for example `DatabaseSecret`.
    """
    # The ARN of a secret imported by name lacks the six characters that Secrets Manager adds.
    arn = secret.secret_full_arn or f"{secret.secret_arn}-??????"
    statements = [
        iam.PolicyStatement(
            sid=f"ReadThe{noun}", actions=["secretsmanager:GetSecretValue"], resources=[arn]
        )
    ]
    if secret.encryption_key is not None:
        statements.append(
            key_statement(
                scope,
                secret.encryption_key,
                sid=f"DecryptThe{noun}",
                actions=["kms:Decrypt"],
                via="secretsmanager",
                region=secret.env.region,
            )
        )
    return statements
