"""Idle connections, held by a process of its own beside a load.

`python -m tests.bench.scale.holding` reads a `Plan` as JSON, one line, opens that many, prints
`Held` as JSON, and holds them until its standard input ends. Its users have no conversations.
"""

import asyncio
import gc
import sys
from uuid import uuid4

import msgspec
import uvloop

from local.edge import allow_open_files
from tests.bench.connection import Connection
from tests.bench.generator import now, percentiles, token

OPENERS = 50
WITHIN_S = 30.0
ADDRESS_HOLDS = 10_000
"""Connections from one source address: some 28,000 ports can lead to one port of ours."""


class Plan(msgspec.Struct):
    """Where the edge is, and how many to hold."""

    port: int
    secret: str
    connections: int


class Held(msgspec.Struct):
    """`set_up_ms`: p50, p95, p99 and maximum, from the TCP connection to CONNECT_SUCCESS."""

    connections: int
    set_up_ms: list[float]
    per_s: float


async def run(plan: Plan) -> None:
    gate = asyncio.Semaphore(OPENERS)
    connections: list[Connection] = []
    loop = asyncio.get_running_loop()

    async def one(number: int) -> float:
        async with gate:
            connection = Connection("127.0.0.1", token(plan.secret, uuid4()), lambda _: None)
            source = f"127.0.0.{1 + number // ADDRESS_HOLDS}"
            began = now()
            await loop.create_connection(
                lambda: connection, "127.0.0.1", plan.port, local_addr=(source, 0)
            )
            await asyncio.wait_for(connection.ready, WITHIN_S)
        connections.append(connection)
        return now() - began

    began = now()
    seconds = await asyncio.gather(*map(one, range(plan.connections)))
    held = Held(plan.connections, percentiles(seconds), plan.connections / (now() - began))
    gc.collect()
    gc.freeze()
    print(msgspec.json.encode(held).decode(), flush=True)
    # They answer pings meanwhile.
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    lost = sum(connection.lost for connection in connections)
    if lost:
        sys.exit(f"{lost} idle connections were closed")


if __name__ == "__main__":
    allow_open_files()
    uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)))
