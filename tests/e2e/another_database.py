"""Another database on the server of the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from local.cloud import LocalCloud
from local.servers.mariadb import DatabaseAddress
from local.servers.shop_database import ThrowawayDatabase


@contextmanager
def another_database(cloud: LocalCloud, name: str) -> Iterator[DatabaseAddress]:
    """Create it, empty, for the users of the shop's own; it goes at the end."""
    assert isinstance(cloud.database, ThrowawayDatabase)
    first = cloud.database.address
    with closing(cloud.database.server.admin_connection()) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE DATABASE {name}")
            # Whoever the stack is deployed with now: another test changes the user.
            cursor.execute("SELECT DISTINCT user, host FROM mysql.db WHERE db = %s", (first.name,))
            for user, host in cursor.fetchall():
                cursor.execute(f"GRANT ALL ON {name}.* TO %s@%s", (user, host))
        yield replace(first, name=name)
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")
