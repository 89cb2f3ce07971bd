"""Run at deployment: bring our tables up to date before the routes go live.

CloudFormation asks through CDK's provider framework ("Custom resource provider request and
response", CloudFormation User Guide); an operator may invoke the function with any event.

A rollback is an update back to what the stack last had, and CloudFormation does not say so. If the
database is why the deployment failed, it would fail again and leave UPDATE_ROLLBACK_FAILED. So the
resource's physical id keeps what the migrations last ran for, and before that: going back there is
tried, and a failure is logged and does not stop the stack.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import TYPE_CHECKING, Any

from settlement.adapters.migrations import migrate
from settlement.bootstrap import open_database, telemetry
from settlement.configuration import read_migration_settings
from settlement.domain.clock import Deadline
from settlement.errors import SettlementError

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext

_NOT_WHAT_IT_IS_FOR = ("ServiceToken", "ServiceTimeout")


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Apply the migrations that have not been applied yet; nothing where the resource is deleted.

    Raises:
        SettlementError: the deployment must not go on.
    """
    request = event if isinstance(event, dict) else {}
    if request.get("RequestType") == "Delete":
        return {}
    subject = _fingerprint(request.get("ResourceProperties"))
    last, before = _parse(request.get("PhysicalResourceId"))
    try:
        applied = _migrate(context)
    except SettlementError as error:
        if subject not in (last, before):
            raise
        telemetry().logger.error(
            "the stack goes back, and the migrations did not run", extra={"reason": str(error)}
        )
        applied = []
    if subject not in (last, before):
        before, last = last, subject
    elif subject == before:
        before, last = "", subject  # another attempt at what failed is not a way back
    return {"applied": applied, "PhysicalResourceId": f"migration-{last}-{before}"}


def _migrate(context: LambdaContext) -> list[str]:
    # The function's own time limit is the setting's: nothing here waits for less.
    database = open_database(read_migration_settings(os.environ), read_timeout=math.inf)
    applied = migrate(database, Deadline.of_invocation(context))
    telemetry().logger.info("migrations applied", extra={"applied": applied})
    return applied


def _fingerprint(properties: object) -> str:
    """Return what tells one code, configuration and database from another."""
    if not isinstance(properties, dict):
        return "direct"
    subject = {key: properties[key] for key in properties if key not in _NOT_WHAT_IT_IS_FOR}
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()[:16]


def _parse(physical_id: object) -> tuple[str, str]:
    """Return the fingerprints of what was migrated last, and before that; empty: of nothing."""
    parts = str(physical_id or "").split("-")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "migration" else ("", "")
