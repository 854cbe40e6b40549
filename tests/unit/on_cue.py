"""What a service says on cue to a client under test: over real sockets, frame by frame."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from websockets.asyncio.server import ServerConnection

ME, C = uuid4(), uuid4()
"""The user, and a conversation of theirs."""
WAIT_S = 10.0

Frame = dict[str, Any]


async def say(connection: ServerConnection, kind: str, **fields: object) -> None:
    await connection.send(json.dumps({"type": kind, **fields}, default=str))


async def welcome(
    connection: ServerConnection, *, lasts_s: float = 600, heartbeat_s: float = 30, head: int = 1
) -> None:
    ends = (datetime.now(UTC) + timedelta(seconds=lasts_s)).isoformat().replace("+00:00", "Z")
    await say(
        connection,
        "CONNECT_SUCCESS",
        userId=ME,
        conversations=[C],
        heads={str(C): head},
        sessionId=uuid4(),
        expiresAt=ends,
        heartbeatSeconds=heartbeat_s,
    )


async def when(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - a timeout around it bounds it
        await asyncio.sleep(0.01)
