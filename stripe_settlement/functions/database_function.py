"""A function that talks to the database."""

from collections.abc import Mapping

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stripe_settlement.database import DatabaseConnection
from stripe_settlement.functions.network import Network
from stripe_settlement.functions.python_function import PythonFunction
from stripe_settlement.settings import FunctionSettings


class DatabaseFunction(PythonFunction):
    """A function with the database's address and its secret."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: str,
        code: lambda_.Code,
        database: DatabaseConnection,
        description: str,
        settings: FunctionSettings | None = None,
        environment: Mapping[str, str] | None = None,
        function_name: str | None = None,
        network: Network | None = None,
    ) -> None:
        """Create a `PythonFunction` that knows the database's address and may read its secret."""
        super().__init__(
            scope,
            construct_id,
            handler=handler,
            code=code,
            description=description,
            settings=settings,
            environment={**database.environment(), **(environment or {})},
            function_name=function_name,
            network=network,
        )
        self.allow_reading(database.secret, noun="DatabaseSecret")
