"""What reconciliation asks of the ledger in MariaDB, and where it keeps its watermark."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from settlement.adapters.database import Statement
from settlement.adapters.ledger import SQL
from settlement.domain.clock import utc_now
from settlement.domain.reconciliation import Progress
from settlement.errors import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settlement.adapters.database import Database, Row
    from settlement.domain.clock import Deadline
    from settlement.domain.reconciliation import ListedEvent


class MariaDBReconciliationLedger:
    """The domain's ``ReconciliationLedger``, in MariaDB."""

    def __init__(self, database: Database, *, livemode: bool) -> None:
        """Prepare nothing yet; the watermark is that of this mode."""
        self._database = database
        self._mode = "live" if livemode else "test"
        self._find = Statement(SQL / "find_known_events.sql")
        self._read = Statement(SQL / "read_progress.sql")
        self._keep = Statement(SQL / "keep_progress.sql")

    def read_progress(self, deadline: Deadline) -> Progress | None:
        """See :meth:`settlement.domain.reconciliation.ReconciliationLedger.read_progress`."""
        row = self._run(self._read, {"mode": self._mode}, deadline, token=self._mode)
        if row[0] is None:
            return None
        return Progress(watermark=_aware(row[0]), listed_from=row[1] and _aware(row[1]))

    def keep_progress(self, progress: Progress, deadline: Deadline) -> None:
        """See :meth:`settlement.domain.reconciliation.ReconciliationLedger.keep_progress`."""
        run = uuid.uuid4().hex
        parameters = {
            "mode": self._mode,
            "watermark": _seconds(progress.watermark),
            "listed_from": progress.listed_from and _seconds(progress.listed_from),
            "now": utc_now().replace(tzinfo=None),
            "run": run,
        }
        self._run(self._keep, parameters, deadline, token=run)

    def known(self, events: Sequence[ListedEvent], deadline: Deadline) -> set[str]:
        """See :meth:`settlement.domain.reconciliation.ReconciliationLedger.known`."""
        page = uuid.uuid4().hex
        listed = [
            {"place": place, "event_id": event.id, "session_id": event.session_id}
            for place, event in enumerate(events)
        ]
        parameters: dict[str, object] = {"events": json.dumps(listed), "page": page}
        row = self._run(self._find, parameters, deadline, token=page)
        places = [int(place) for place in row[0].split(",")] if row[0] else []
        if len(places) != row[1]:
            raise LedgerUnavailable("the database's response is not whole")
        return {events[place].id for place in places}

    def _run(
        self, statement: Statement, parameters: dict[str, object], deadline: Deadline, *, token: str
    ) -> Row:
        row = self._database.run(statement, parameters, deadline).row
        if row is None or len(row) != 3 or row[2] != token:
            raise LedgerUnavailable("the database's response belongs to another statement")
        return row


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _seconds(moment: datetime) -> datetime:
    """DATETIME knows no zone, and no parts of a second; earlier is the safe side."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
