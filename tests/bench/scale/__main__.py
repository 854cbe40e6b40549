"""`python -m tests.bench.scale`: what grows with what, one stack of its own per variation.

Each stack (`scale`) is loaded as `make bench` does, in a closed loop and at 1,000/s. Prints a row
for each, then what idle connections cost, then an outage's backlog and the rest of the service
description beside their targets. All is in `.run/scale/scale.json`, after each row. The seeds of
10^7 messages take some GB of disk and minutes each. Compare within one sitting, by ratio.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from local.progress import Silence
from local.roles import Counts
from local.stack import Stack
from tests.bench.__main__ import UNLIMITED, measure
from tests.bench.cpu import busy_cores, memory_bytes
from tests.bench.generator import Plan
from tests.bench.scale import backlog, holding, reading, seeding
from tests.bench.scale.holding import Held
from tests.bench.scale.seeding import Seed
from tests.bench.scale.table import Idle, Row, heading, line
from tests.bench.scale.variations import ALL, COUNTS, MANY, PARTITIONS, Variation
from tests.bench.targets import Figure

KINDS = ("processes", "partitions", "connections", "history", "conversations", "rest", "backlog")
QUIET_CORES = 0.2
QUIET_WITHIN_S = 20.0


class Report(msgspec.Struct):
    """What scale.json holds."""

    rows: list[Row] = []
    idle: list[Idle] = []
    backlogs: list[backlog.Drained] = []
    figures: list[Figure] = []


class Scale:
    """Runs the variations one after the other; the tables stay where the next has the same seed."""

    def __init__(self, seconds: float) -> None:
        self.report = Report()
        self._seconds = seconds
        self._seed: Seed | None = None

    def vary(self, variation: Variation) -> None:
        with self._stack(variation.counts, variation.environ, variation.seed) as stack:
            environment = stack.environment()
            with self._idle(stack, variation, environment):
                for rate in (0.0, 1000.0):
                    plan = Plan(
                        host="127.0.0.1",
                        port=int(environment["CHAT_PORT"]),
                        secret=environment["CHAT_JWT_SECRET"],
                        pairs=variation.pairs,
                        # As many in flight with more pairs.
                        window=max(1, 800 // variation.pairs),
                        rate=rate,
                        measured_s=self._seconds,
                    )
                    if variation.is_walked and variation.seed:
                        plan.seeded = seeding.pairs_of(variation.seed)
                    others = await_quiet()
                    load = f"{rate:.0f}/s" if rate else "closed loop"
                    section = measure(stack, plan)
                    row = Row(variation.kind, variation.name, load, section, others)
                    print(line(row), flush=True)
                    self.report.rows.append(row)
        self._save(stack)

    def drain(self, persisters: int) -> None:
        with self._stack(replace(COUNTS, persister=persisters), {}, None) as stack:
            await_quiet()
            drained = backlog.run(stack, persisters)
            print(drained.text(), flush=True)
            self.report.backlogs.append(drained)
        self._save(stack)

    def read(self) -> None:
        with self._stack(COUNTS, {}, MANY) as stack:
            await_quiet()
            self.report.figures += reading.run(stack)
        self._save(stack)

    @contextmanager
    def _stack(
        self, counts: Counts, environ: Mapping[str, str], seed: Seed | None
    ) -> Iterator[Stack]:
        partitions = {"CHAT_PARTITIONS": str(PARTITIONS)}
        stack = Stack("scale", {**os.environ, **UNLIMITED, **partitions, **environ}, Silence())
        is_sown = seed is not None and seed == self._seed
        self._seed = None
        stack.start(counts, fresh=not is_sown)
        try:
            if seed is not None and not is_sown:
                took = asyncio.run(seeding.sow(stack.environment()["CHAT_DATABASE_URL"], seed))
                print(f"{seed.rows:,} messages sown in {took:.0f} s", flush=True)
            yield stack
            self._seed = seed
        finally:
            stack.stop()

    @contextmanager
    def _idle(
        self, stack: Stack, variation: Variation, environment: Mapping[str, str]
    ) -> Iterator[None]:
        """Holds the variation's idle connections, after a look at what they cost."""
        if not variation.idle:
            yield
            return
        before = memory_bytes(stack.pids())["gateway-1"]
        plan = holding.Plan(
            int(environment["CHAT_PORT"]), environment["CHAT_JWT_SECRET"], variation.idle
        )
        with subprocess.Popen(
            [sys.executable, "-m", "tests.bench.scale.holding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=stack.layout.root,
        ) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write(msgspec.json.encode(plan) + b"\n")
            holder.stdin.flush()
            held = msgspec.json.decode(holder.stdout.readline(), type=Held)
            grown = memory_bytes(stack.pids())["gateway-1"] - before
            idle = Idle(variation.name, held, grown / 1024 / variation.idle)
            print(idle.text(), flush=True)
            self.report.idle.append(idle)
            yield
            holder.stdin.close()
        if holder.returncode:
            raise SystemExit("idle connections were lost: see above")

    def _save(self, stack: Stack) -> None:
        (stack.layout.folder / "scale.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(self.report)) + b"\n"
        )


def await_quiet() -> float:
    """The cores that others have, once they have next to none, or after 20 s all the same."""
    began = time.monotonic()
    while (busy := busy_cores(1.0)) > QUIET_CORES:
        if time.monotonic() - began > QUIET_WITHIN_S:
            break
    return busy


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--named", default="", help="variations whose name has this")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    arguments = parser.parse_args()
    scale = Scale(arguments.seconds)
    print(heading(), flush=True)
    for variation in ALL:
        if variation.kind in arguments.only and arguments.named in variation.name:
            scale.vary(variation)
    if "rest" in arguments.only:
        scale.read()
    if "backlog" in arguments.only:
        for persisters in (1, 2):
            scale.drain(persisters)


if __name__ == "__main__":
    main()
