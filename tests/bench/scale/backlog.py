"""What an outage of all persisters leaves in the queues: how fast it is written, who feels it."""

import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Thread

import msgspec
import psycopg
from msgspec.structs import replace

from local.stack import Stack
from tests.bench.generator import Plan, Result

FILL_S = 25.0
"""Of a closed loop, which sends some 100,000 messages in it."""
LIVE_PER_S = 200
LIVE_WARM_S = 50.0
"""Longer than filling takes: from then on the live load is measured, and the persisters start."""
LIVE_MEASURED_S = 6.0
WITHIN_S = 120.0


class Drained(msgspec.Struct):
    """`rows` of messages were written in `seconds`; `live` chatted meanwhile."""

    persisters: int
    rows: int
    seconds: float
    queued: int
    """AMQP messages in the write queues before."""
    live: Result

    def text(self) -> str:
        p50, p95 = self.live.delivery_ms[:2]
        return (
            f"backlog, {self.persisters} persisters: {self.rows:,} rows (and their statuses, in "
            f"{self.queued:,} AMQP messages) in {self.seconds:.1f} s, "
            f"{self.rows / self.seconds:,.0f} rows/s; live delivery at {LIVE_PER_S}/s "
            f"p50 {p50:.0f}, p95 {p95:.0f} ms"
        )


def run(stack: Stack, persisters: int) -> Drained:
    """Leaves the stack as it was."""
    environment = stack.environment()
    place = Plan(
        "127.0.0.1", int(environment["CHAT_PORT"]), environment["CHAT_JWT_SECRET"], rate=LIVE_PER_S
    )
    names = [f"persister-{number}" for number in range(1, persisters + 1)]
    live = _Generator(stack, replace(place, warm_s=LIVE_WARM_S, measured_s=LIVE_MEASURED_S))
    fill = _Generator(stack, replace(place, rate=0.0, measured_s=FILL_S))
    fill.await_line("measuring")
    for name in names:
        stack.stop_program(name)
    filled = fill.result()
    if filled.errors:
        raise SystemExit(f"the backlog could not be filled: {filled.errors[0]}")
    queued = _queued(stack)
    live.await_line("measuring")
    seconds = _drain(stack, environment["CHAT_DATABASE_URL"], names, filled.received)
    return Drained(persisters, filled.received, seconds, queued, live.result())


def _drain(stack: Stack, database_url: str, persisters: Sequence[str], backlog: int) -> float:
    """Seconds in which so many rows of messages appear, from the first on."""
    with psycopg.connect(database_url, autocommit=True) as database:

        def rows() -> int:
            found = database.execute("SELECT count(*) FROM messages").fetchone()
            assert found is not None
            return int(found[0])

        before = began = rows(), time.monotonic()
        starting = [Thread(target=stack.start_program, args=(name,)) for name in persisters]
        for thread in starting:
            thread.start()
        while (seen := (rows(), time.monotonic()))[0] < before[0] + backlog:
            if seen[0] == before[0]:
                began = seen
            if seen[1] - before[1] > WITHIN_S:
                raise SystemExit(f"only {seen[0] - before[0]:,} rows in {WITHIN_S:.0f} s")
            time.sleep(0.1)
        for thread in starting:
            thread.join()
    return seen[1] - began[1]


def _queued(stack: Stack) -> int:
    listed = stack.rabbitmqctl("list_queues", "name", "messages").splitlines()
    return sum(int(line.split()[1]) for line in listed if line.startswith("chat.writes."))


class _Generator:
    """`tests.bench.generator`, in a process of its own beside others."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=stack.layout.root,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(plan))
        self._process.stdin.close()
        self._lines = self._process.stdout

    def await_line(self, text: str) -> None:
        for line in self._lines:
            if line.decode().strip() == text:
                return
        raise SystemExit("the generator failed: see above")

    def result(self) -> Result:
        last = self._lines.readlines()[-1]
        if self._process.wait() != 0:
            raise SystemExit("the generator failed: see above")
        return msgspec.json.decode(last, type=Result)
