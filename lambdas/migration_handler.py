"""Run at deployment: bring our tables up to date and verify the database before routes go live.

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
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from settlement.adapters.migrations import MigrationError, migrate
from settlement.adapters.verification import DatabaseMismatch, verify
from settlement.bootstrap import open_database, telemetry
from settlement.configuration import read_database_settings, read_migration_settings
from settlement.domain.clock import Deadline
from settlement.domain.order_tables import OrderTables
from settlement.errors import SettlementError

if TYPE_CHECKING:
    from settlement.adapters.database import Database
    from settlement.adapters.verification import Mismatch
    from settlement.domain.clock import LambdaContext

_NOT_WHAT_IT_IS_FOR = ("ServiceToken", "ServiceTimeout")


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Apply the migrations that have not been applied yet, and verify the database.

    Args:
        event: CloudFormation's request, where a deleted resource needs nothing; or
            ``{"check": "database"}`` to verify only, which changes nothing and returns
            ``mismatches``; or anything else, to migrate and verify.
        context: The invocation, for the time it has left.

    Raises:
        SettlementError: the deployment must not go on.
    """
    request = event if isinstance(event, dict) else {}
    if request.get("RequestType") == "Delete":
        return {}
    if request.get("check") == "database":
        found = _Databases.connect().verify(Deadline.of_invocation(context))
        return {"mismatches": [asdict(mismatch) for mismatch in found]}
    subject = _fingerprint(request.get("ResourceProperties"))
    last, before = _parse(request.get("PhysicalResourceId"))
    try:
        applied = _migrate_and_verify(Deadline.of_invocation(context))
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
    answer: dict[str, Any] = {"applied": applied}
    if "RequestType" in request:
        answer["PhysicalResourceId"] = f"migration-{last}-{before}"
    return answer


def _migrate_and_verify(deadline: Deadline) -> list[str]:
    databases = _Databases.connect()
    applied, also = [], None
    try:
        applied = migrate(databases.owner, deadline)
    except MigrationError as error:
        also = error  # a person must look; so let them see the rest as well
    telemetry().logger.info("migrations applied", extra={"applied": applied})
    mismatches = databases.verify(deadline, ours=also is None)
    if mismatches:
        listed = [asdict(mismatch) for mismatch in mismatches]
        telemetry().logger.error("the database does not fit", extra={"mismatches": listed})
        raise DatabaseMismatch(mismatches, also=str(also or ""))
    if also is not None:
        raise also
    return applied


@dataclass(frozen=True, slots=True)
class _Databases:
    """The database by both its users, which are one where the migrations have none of their own."""

    owner: Database
    routes: Database
    tables: OrderTables

    @classmethod
    def connect(cls) -> _Databases:
        return cls(
            # The function's own time limit is the setting's: nothing here waits for less.
            open_database(read_migration_settings(os.environ), read_timeout=math.inf),
            open_database(read_database_settings(os.environ)),
            OrderTables.parse(os.environ.get("ORDER_TABLES") or "{}"),
        )

    def verify(self, deadline: Deadline, *, ours: bool = True) -> list[Mismatch]:
        return verify(self.owner, self.routes, self.tables, deadline, ours=ours)


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
