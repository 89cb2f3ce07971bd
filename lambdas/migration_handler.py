"""Run at deployment: bring our tables up to date before the routes go live."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from settlement.adapters.migrations import migrate
from settlement.bootstrap import open_database, telemetry
from settlement.configuration import read_database_settings
from settlement.domain.clock import Deadline

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext


def handler(_event: object, context: LambdaContext) -> dict[str, list[str]]:
    """Apply the migrations that have not been applied yet.

    Raises:
        SettlementError: the deployment must not go on.
    """
    # The function's own time limit is the setting's: nothing here waits for less.
    database = open_database(read_database_settings(os.environ), read_timeout=math.inf)
    applied = migrate(database, Deadline.of_invocation(context))
    telemetry().logger.info("migrations applied", extra={"applied": applied})
    return {"applied": applied}
