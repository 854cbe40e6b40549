"""Twice what the system can carry, and ten times as many connects as usual: `make overload`.

Measures the capacity of a stack of its own, then offers 30 % of it, 200 %, and 30 % again, while
2 % of the clients stop to read; then lets newcomers connect at ten times the usual rate while
500 users chat. Ends with 1 when a promise was broken. Clients and servers share one machine and
its loopback: what the clients take of the cores, the servers don't have.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

import msgspec

from local.layout import ROOT
from local.progress import Progress
from local.roles import GATEWAY, PERSISTER, ROUTER
from tests.bench import __main__ as bench
from tests.bench import generator
from tests.bench.cpu import TICK_S, cpu_seconds
from tests.bench.generator import percentiles
from tests.chaos import newcomers
from tests.chaos.crowd import Phase, Plan, Report, Second, Talk
from tests.chaos.house import Whole, whole_stack
from tests.chaos.memory import Range, sizes
from tests.chaos.verdict import Stored, Told, judge
from tests.integration.watching import QUEUES, House

SETTINGS: Final = {
    # What one user may is not what is tried here: 250 senders would never reach the capacity.
    "CHAT_MESSAGES_PER_SECOND": "1000000",
    "CHAT_CALLS_PER_SECOND": "1000000",
    "CHAT_CONNECTS_PER_MINUTE": "1000000",
    "CHAT_FRAMES_PER_SECOND": "1000000",
}
NEVER_READ: Final = 0.02
NORMAL: Final = 0.3
"""Of the capacity."""
BACK_WITHIN_S: Final = 5.0
BACK_FACTOR, BACK_MS = 1.5, 50.0
"""Latency is back when a second's p95 is within this factor, or so much, of the normal phase's,
and so are the next two seconds'."""
STORM_MS: Final = 500.0
"""Newcomers don't stop those who are connected: while they storm in, nobody's message is refused
or unanswered, and p95 is below this."""
GROWTH_MIB: Final = 64.0
"""What a process of ours may have more in overload than in the normal phase."""
CLOSED_WITHIN_S: Final = 45.0
"""A gateway waits 20 s for a pong, looks every few seconds, and cuts who doesn't answer a close."""
STORED_WITHIN_S: Final = 60.0
USUAL_CONNECTS: Final = 20.0
"""A second."""

Fault = str
"""A broken promise, for people."""


async def prove(options: argparse.Namespace) -> list[Fault]:
    """What was broken."""
    faults: list[Fault] = []
    async with whole_stack("overload", Progress(), SETTINGS) as chaos:
        if options.only != "storm":
            capacity = await _capacity(chaos, options.pairs)
            phases = [
                Phase("normal", NORMAL * capacity, 15),
                Phase("overload", options.times * capacity, 30, some_stop_reading=True),
                Phase("after", NORMAL * capacity, 15),
            ]
            plan = _plan(chaos, options.pairs, phases)
            plan.never_read = round(2 * options.pairs * NEVER_READ)
            plan.characters = options.characters
            faults += await _overload(chaos, plan)
        if options.only != "overload":
            faults += await _storm(chaos, options.pairs, options.storm)
    return faults


# ------------------------------------------------------------------ capacity


async def _capacity(chaos: Whole, pairs: int) -> float:
    """Messages/s of a closed loop with 1,000 in flight."""
    plan = generator.Plan(
        host="127.0.0.1",
        port=int(chaos.house.variables["CHAT_PORT"]),
        secret=chaos.system.secret,
        pairs=pairs,
        window=max(1, 1000 // pairs),
        measured_s=8.0,
    )
    result = await asyncio.to_thread(bench.measure, chaos.stack, plan)
    capacity = result.received / result.seconds
    p50, p95, p99, _ = result.acknowledged_ms
    _say(f"capacity: {capacity:,.0f} messages/s, acknowledged in p50 {p50} p95 {p95} p99 {p99} ms")
    for error in result.errors:
        _say(f"  ERROR {error}")
    return capacity


# ------------------------------------------------------------------ overload


async def _overload(chaos: Whole, plan: Plan) -> list[Fault]:
    phases, never_read = plan.phases, plan.never_read
    too_slow = await chaos.house.total(GATEWAY, "chat_closes_total", code="4408")
    async with _program("tests.chaos.crowd", plan) as crowd:
        await _is_ready(crowd)
        _write(crowd, b"\n")
        faults = await _watch(chaos, phases, crowd)
        report = msgspec.json.decode(await _line(crowd), type=Report)
        closed = await _closed_as_slow(chaos.house, never_read, since=too_slow)
    faults += _table(phases, report)
    faults += _recovery(phases, report)
    _say(f"{never_read} never read, {closed:.0f} closed with 4408; others closed: {report.closed}")
    if closed != never_read:
        faults.append(f"{closed:.0f} of {never_read} slow readers were closed with 4408")
    return faults + await _kept(chaos.house, report)


async def _closed_as_slow(house: House, count: int, since: float) -> float:
    """How many more than `since` the gateways have closed with 4408, once it is `count`."""
    until = monotonic() + CLOSED_WITHIN_S
    while True:
        closed = await house.total(GATEWAY, "chat_closes_total", code="4408") - since
        if closed >= count or monotonic() > until:
            return closed
        await asyncio.sleep(0.5)


def _plan(chaos: Whole, pairs: int, phases: list[Phase]) -> Plan:
    users = [(uuid4(), uuid4()) for _ in range(pairs)]
    port = int(chaos.house.variables["CHAT_PORT"])
    return Plan(port, chaos.system.secret, users, phases)


async def _watch(
    chaos: Whole, phases: Sequence[Phase], *clients: asyncio.subprocess.Process
) -> list[Fault]:
    """Prints each second of the crowd, the first of them, then memory and CPU time by phase.

    `queued` are AMQP messages ready for routers and persisters; `cores` those that the service,
    the clients and everything else on the machine had: this tells a slow service from a busy
    machine.
    """
    memory: dict[str, dict[str, Range]] = defaultdict(dict)
    used: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    roots = chaos.stack.pids() | {f"client-{n}": one.pid for n, one in enumerate(clients, 1)}
    _say(f"{'per second':10}{'offered':>9}{'held':>6}{'accepted':>9}{'429':>7}"
         f"{'p50':>6}{'p95':>6}{'p99':>6} ms   queued  cores MiB")  # fmt: skip
    before = _cpu(roots)
    for _ in range(sum(int(phase.seconds) for phase in phases)):
        second = msgspec.json.decode(await _line(clients[0]), type=Second)
        now = await asyncio.to_thread(sizes, chaos.stack)
        for program, size in now.items():
            least, most = memory[program].get(second.phase, Range(size, size))
            memory[program][second.phase] = Range(min(least, size), max(most, size))
        events, writes = [
            sum(queue.ready for queue in await chaos.house.queues(QUEUES[role]))
            for role in (ROUTER, PERSISTER)
        ]
        after = _cpu(roots)
        spent = {program: after[program] - before[program] for program in after}
        before = after
        for program, seconds in spent.items():
            used[program][second.phase] += seconds
        crowds = sum(spent[program] for program in spent if program.startswith("client-"))
        service = sum(spent.values()) - spent["all"] - crowds
        others = spent["all"] - service - crowds
        ms = "".join(f"{one:6.0f}" for one in second.ms[:3] or [float("nan")] * 3)
        of_all = " ".join(f"{_short(name)}{size:.0f}" for name, size in sorted(now.items()))
        _say(f"{second.phase:<10}{second.offered:9,}{second.held:6,}{second.accepted:9,}"
             f"{second.refused:7,}{ms} {events:5}{writes:5} {service:.1f} {crowds:.1f} {others:.1f}"
             f" {of_all}")  # fmt: skip
    _show_cores(phases, used)
    return _bounded(phases, memory)


def _cpu(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far, by program; `all` is everything on this machine."""
    fields = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    user, nice, system, _, _, *interrupts = map(int, fields)
    busy = (user + nice + system + sum(interrupts)) * TICK_S
    return cpu_seconds(roots) | {"all": busy}


def _table(phases: Sequence[Phase], report: Report) -> list[Fault]:
    """Of each phase what became of the messages that were sent in it."""
    faults = [f"{report.closed} connections of those who read were closed"] if report.closed else []
    faults += [f"refused otherwise: {error}" for error in report.errors]
    refused = {name for talk in report.talks for name in talk.refused}
    _say(f"\n{'phase':<10}{'offered':>9}{'held':>7}{'accepted':>9}{'refused':>8}{'lost':>6}"
         f"{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8} ms")  # fmt: skip
    for number, phase in enumerate(phases):
        sent = [
            (name, one)
            for talk in report.talks
            for name, one in talk.sent.items()
            if one.phase == number
        ]
        ms = [one.ms / 1000 for _, one in sent if one.ms is not None]
        shed = sum(name in refused for name, _ in sent)
        silent = len(sent) - len(ms) - shed
        figures = "".join(f"{one:8.0f}" for one in percentiles(ms))
        _say(f"{phase.name:<10}{len(sent):9,}{report.held[number]:7,}{len(ms):9,}{shed:8,}"
             f"{silent:6}{figures}")  # fmt: skip
        if silent:
            faults.append(f"{phase.name}: {silent} messages got no answer")
        begins = sum(one.seconds for one in phases[:number])
        late = sum(name in refused and one.at > begins + BACK_WITHIN_S for name, one in sent)
        if late and phase.name != "overload":
            faults.append(f"{phase.name}: {late} messages were refused at normal load")
    return faults


def _recovery(phases: Sequence[Phase], report: Report) -> list[Fault]:
    """Whether what is sent after the overload is acknowledged as fast as before it."""
    normal = _p95(one.ms for talk in report.talks for one in talk.sent.values() if one.phase == 0)
    p95s = _p95_of_seconds(phases, 2, report)
    limit = max(BACK_FACTOR * normal, normal + BACK_MS)
    back = next((n for n in range(len(p95s) - 2) if max(p95s[n : n + 3]) <= limit), None)
    _say(f"p95 of each second after the overload: {' '.join(f'{one:.0f}' for one in p95s)} ms")
    _say(f"p95 is back within {limit:.0f} ms after {'-' if back is None else back} s")
    if back is None or back > BACK_WITHIN_S:
        return [f"latency was not back within {BACK_WITHIN_S:.0f} s"]
    return []


def _p95_of_seconds(phases: Sequence[Phase], number: int, report: Report) -> list[float]:
    """Of what was sent in each second of a phase, ms."""
    begins = sum(phase.seconds for phase in phases[:number])
    seconds: list[list[float | None]] = [[] for _ in range(int(phases[number].seconds))]
    for talk in report.talks:
        for one in talk.sent.values():
            if one.phase == number:
                seconds[min(int(one.at - begins), len(seconds) - 1)].append(one.ms)
    return [_p95(second) for second in seconds]


def _bounded(phases: Sequence[Phase], memory: Mapping[str, Mapping[str, Range]]) -> list[Fault]:
    """Whether our own processes stay as small as they were in the first phase, about."""
    names = [phase.name for phase in phases]
    _say(f"\n{'MiB':<14}" + "".join(f"{name:>16}" for name in names))
    faults: list[Fault] = []
    for program, ranges in sorted(memory.items()):
        texts = (f"{ranges[name].least:.0f} to {ranges[name].most:.0f}" for name in names)
        _say(f"{program:<14}" + "".join(f"{text:>16}" for text in texts))
        growth = max(one.most for one in ranges.values()) - ranges[names[0]].most
        if program.rpartition("-")[2].isdecimal() and growth > GROWTH_MIB:
            faults.append(f"{program} grew by {growth:.0f} MiB")
    return faults


def _show_cores(phases: Sequence[Phase], used: Mapping[str, Mapping[str, float]]) -> None:
    _say(f"\n{'cores':<14}" + "".join(f"{phase.name:>10}" for phase in phases))
    for program, seconds in sorted(used.items()):
        shares = (seconds[phase.name] / phase.seconds for phase in phases)
        _say(f"{program:<14}" + "".join(f"{share:10.2f}" for share in shares))


async def _kept(house: House, report: Report) -> list[Fault]:
    """Acknowledged ⊆ stored, once and under its number; refused ∩ stored = ∅."""
    told = [
        Told(one.at, (talk.conversation, name), (talk.conversation, name), one.seq)
        for talk in report.talks
        for name, one in talk.sent.items()
        if one.seq is not None
    ]
    until = monotonic() + STORED_WITHIN_S
    while True:
        stored = await _stored(house, report.talks)
        verdict = judge(told, stored)
        if not verdict.lost or monotonic() > until:
            break
        await asyncio.sleep(1)
    refused = {(talk.conversation, name) for talk in report.talks for name in talk.refused}
    appeared = sum(row.name in refused for row in stored)
    _say(f"{verdict}; {len(stored):,} rows; refused, but stored: {appeared}")
    faults = [] if verdict.is_good else [str(verdict)]
    return faults + ([f"{appeared} refused messages are stored"] if appeared else [])


async def _stored(house: House, talks: Sequence[Talk]) -> list[Stored]:
    rows = await house.database.fetch(
        "select conversation_id, left(content, 12) as name, seq"
        " from messages where conversation_id = any($1)",
        [talk.conversation for talk in talks],
    )
    names = [(row["conversation_id"], row["name"]) for row in rows]
    return [Stored(name, name, row["seq"]) for name, row in zip(names, rows, strict=True)]


# ------------------------------------------------------------------ storm of connects


async def _storm(chaos: Whole, pairs: int, times: float) -> list[Fault]:
    phases = [Phase("before", 200, 10), Phase("storm", 200, 15), Phase("after", 200, 10)]
    plan = _plan(chaos, pairs, phases)
    rates = (USUAL_CONNECTS, times * USUAL_CONNECTS, USUAL_CONNECTS)
    connects = [
        Phase(phase.name, rate, phase.seconds) for phase, rate in zip(phases, rates, strict=True)
    ]
    count = sum(int(phase.rate * phase.seconds) for phase in connects)
    connected = [user for pair in plan.users for user in pair]
    users = [(uuid4(), connected[number % len(connected)]) for number in range(count)]
    _say(f"\n{2 * pairs} users chat, 200 messages/s; {USUAL_CONNECTS:.0f} connects/s, "
         f"{times * USUAL_CONNECTS:.0f} in the storm, each with a conversation")  # fmt: skip
    async with (
        _program("tests.chaos.crowd", plan) as crowd,
        _program(
            "tests.chaos.newcomers", newcomers.Plan(plan.port, plan.secret, users, connects)
        ) as coming,
    ):
        await _is_ready(crowd)
        await _is_ready(coming)
        _write(crowd, b"\n")
        _write(coming, b"\n")
        faults = await _watch(chaos, phases, crowd, coming)
        report = msgspec.json.decode(await _line(crowd), type=Report)
        opened = [msgspec.json.decode(await _line(coming), type=newcomers.Opened) for _ in phases]
    faults += _table(phases, report)
    for one in opened:
        figures = "".join(f"{ms:8.0f}" for ms in one.ms)
        _say(f"{one.phase:<10}{one.begun:9,} connects, {len(one.failed)} failed{'':11}{figures}")
        faults += [f"{one.phase}: a connect failed: {text}" for text in one.failed[:3]]
    storm = _p95(one.ms for talk in report.talks for one in talk.sent.values() if one.phase == 1)
    if storm > STORM_MS:
        faults.append(f"storm: p95 {storm:.0f} ms")
    return faults + await _kept(chaos.house, report)


# ------------------------------------------------------------------ programs


@asynccontextmanager
async def _program(module: str, plan: msgspec.Struct) -> AsyncIterator[asyncio.subprocess.Process]:
    """It has its plan; at the end of the block it ends."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=1 << 30,
    )
    try:
        _write(program, msgspec.json.encode(plan) + b"\n")
        yield program
    finally:
        with suppress(ProcessLookupError):
            program.terminate()
        await program.wait()


async def _is_ready(program: asyncio.subprocess.Process) -> None:
    line = await _line(program)
    if line != b"ready\n":
        raise SystemExit(f"a program of clients failed: {line!r}")


async def _line(program: asyncio.subprocess.Process) -> bytes:
    assert program.stdout is not None
    return await program.stdout.readline()


def _write(program: asyncio.subprocess.Process, data: bytes) -> None:
    assert program.stdin is not None
    program.stdin.write(data)


def _p95(ms: Iterable[float | None]) -> float:
    """Of those that were accepted."""
    known = [one / 1000 for one in ms if one is not None]
    return percentiles(known)[1] if known else float("inf")


def _short(program: str) -> str:
    name, _, number = program.rpartition("-")
    return f"{(name or program)[:2]}{number if name else ''}:"


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.overload", description=__doc__)
    parser.add_argument("--pairs", type=int, default=250, help="of users: twice as many sockets")
    parser.add_argument("--times", type=float, default=2.0, help="the capacity")
    parser.add_argument("--characters", type=int, default=95, help="of each message, to 4000")
    parser.add_argument("--storm", type=float, default=10.0, help="times the usual connects")
    parser.add_argument("--only", choices=("overload", "storm"), help="one part of it")
    options = parser.parse_args()
    faults = asyncio.run(prove(options))
    for fault in faults:
        _say(f"BROKEN {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
