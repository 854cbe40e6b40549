"""One connection to PostgreSQL, made when it is needed and thrown away when in doubt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg

from libs.common.sql import load_queries

CONNECT_TIMEOUT_S: Final = 5.0

AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""What the driver raises when PostgreSQL does not do what it was asked."""

_SESSION: Final = {
    "application_name": "chat-persister",
    # A plan that was kept from when a table was small would scan it when it is big.
    "plan_cache_mode": "force_custom_plan",
    # ms. When the network forgets a connection amid a transaction, PostgreSQL would not know for
    # two hours, and whoever stores the same messages waits for its end. Statements of a
    # transaction follow each other within milliseconds.
    "idle_in_transaction_session_timeout": "5000",
}

SQL: Final = load_queries(Path(__file__).with_name("queries.sql"))

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Link:
    """The connection of one task: it asks one thing after the other."""

    def __init__(self, url: str, *, answer_within_s: float) -> None:
        """`answer_within_s`: for one statement. A server that vanished must be noticed."""
        self._url = url
        self._answer_within_s = answer_within_s
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def connected(self) -> Connection:
        """Raises what the driver raises."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=self._answer_within_s,
                server_settings=_SESSION,
            )
        return self._connection

    def drop(self) -> None:
        """What was under way is undone by PostgreSQL. The next one to ask connects anew."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def run(connection: Connection, query: str, *columns: Sequence[Any]) -> int:
    """How many rows the named statement wrote."""
    status = await connection.execute(SQL[query], *columns)
    return int(status.rsplit(" ", 1)[1])
