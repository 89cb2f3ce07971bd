"""The database's administrator, who is not the service."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from local.cloud import LocalCloud
from local.servers.shop_database import ThrowawayDatabase


def as_root(cloud: LocalCloud, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement on the shop's database. Return its rows."""
    database = cloud.database
    assert isinstance(database, ThrowawayDatabase)
    with closing(database.server.admin_connection()) as root, root.cursor() as cursor:
        cursor.execute(f"USE {database.address.name}")
        cursor.execute(statement)
        return list(cursor.fetchall())
