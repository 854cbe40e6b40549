"""Strikes a whole system of its own with faults, and measures recovery: `make chaos`.

Ends with 1 when something was violated. So far only the probes talk: conversations of one user
each side, one in each partition.
"""

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from random import Random
from time import monotonic, time
from typing import NamedTuple
from uuid import UUID

import asyncpg

from local.progress import Progress
from tests.chaos import client_faults, process_faults, server_faults
from tests.chaos.evidence import Injection
from tests.chaos.faults import Fault, Servers
from tests.chaos.house import chaos_stack
from tests.chaos.injecting import Injecting, Step, plan
from tests.chaos.memory import Range, watch_memory
from tests.chaos.probes import probing
from tests.integration.queues import open_queues
from tests.integration.watching import QUEUES, House
from tests.integration.watching import until as until_holds

STORED_WITHIN_S = 10.0
KINDS = (process_faults, server_faults, client_faults)


class Verdict(NamedTuple):
    """Of all that the probes were told is kept."""

    acknowledged: int
    lost: int
    doubled: int
    renumbered: int

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.renumbered)


def all_faults(*, is_short: bool) -> list[Fault]:
    """What a campaign knows to do."""
    return [fault for kind in KINDS for fault in kind.faults(is_short=is_short)]


async def campaign(chosen: Sequence[Fault], seed: int, minutes: float) -> bool:
    """Every fault alone, then several at once until the time is over; whether all was well."""
    steps: Iterator[Step] = plan(chosen, Random(seed))
    random, until = Random(seed), monotonic() + minutes * 60
    async with chaos_stack(progress=Progress()) as chaos:
        memory: dict[str, Range] = {}
        watching = asyncio.create_task(watch_memory(chaos.stack, memory))
        try:
            async with probing(chaos.house, chaos.system, Servers(chaos.stack)) as probes:
                injecting = Injecting(chaos.house, chaos.system, probes, say=_say)
                for step in islice(steps, len(chosen)):
                    await injecting.take(step, random)
                while monotonic() < until:
                    await injecting.take(next(steps), random)
            await chaos.house.connect_to_database(within_s=30)
            verdict = await _judged(chaos.house.database, probes.told())
            left = await _left_over(chaos.house, injecting.explained)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    for line in _table(injecting.injections):
        _say(line)
    for program, (least, most) in sorted(memory.items()):
        _say(f"{program:<12} {least:6.0f} to {most:6.0f} MiB")
    _say(f"seed {seed}, {len(injecting.injections)} injections; {verdict}")
    violations = [f"{one.rule}: {one.detail}" for one in injecting.violations] + left
    violations += [text for one in injecting.injections for text in one.untouched_closed]
    for violation in violations:
        _say(f"VIOLATION {violation}")
    return verdict.is_good and not violations


async def _left_over(house: House, explained: Collection[bytes]) -> list[str]:
    """What still lies in a queue when nobody talks any more, and dead letters that no fault of
    ours has put there."""
    left: list[str] = []
    for prefix in QUEUES.values():

        async def is_empty(prefix: str = prefix) -> bool:
            return not any(queue.ready for queue in await house.queues(prefix))

        try:
            await until_holds(is_empty, STORED_WITHIN_S, f"{prefix} is empty")
        except AssertionError as error:
            left.append(str(error))
    async with open_queues(house.variables) as queues:
        dead = await queues.take_dead()
    return left + [f"unexplained {letter}" for letter in dead if letter.body not in explained]


def judge(
    told: Mapping[UUID, Mapping[str, int]], stored: Mapping[UUID, Sequence[tuple[int, str]]]
) -> Verdict:
    """Holds what senders were told (content → number) against the rows (number, content)."""
    lost = doubled = renumbered = 0
    for conversation, messages in told.items():
        places: defaultdict[str, list[int]] = defaultdict(list)
        for seq, content in stored[conversation]:
            places[content].append(seq)
        doubled += sum(len(numbers) > 1 for numbers in places.values())
        for content, seq in messages.items():
            lost += content not in places
            renumbered += content in places and seq not in places[content]
    return Verdict(sum(map(len, told.values())), lost, doubled, renumbered)


async def _judged(
    database: "asyncpg.Connection[asyncpg.Record]", told: Mapping[UUID, Mapping[str, int]]
) -> Verdict:
    """When all is stored, or should be: what was acknowledged last is still on its way at first."""
    until = monotonic() + STORED_WITHIN_S
    verdict = judge(told, await _stored(database, told))
    while verdict.lost and monotonic() < until:
        await asyncio.sleep(0.1)
        verdict = judge(told, await _stored(database, told))
    return verdict


async def _stored(
    database: "asyncpg.Connection[asyncpg.Record]", conversations: Mapping[UUID, object]
) -> dict[UUID, list[tuple[int, str]]]:
    stored: dict[UUID, list[tuple[int, str]]] = {one: [] for one in conversations}
    for row in await database.fetch(
        "select conversation_id, seq, content from messages where conversation_id = any($1)",
        list(conversations),
    ):
        stored[row["conversation_id"]].append((row["seq"], row["content"]))
    return stored


def _table(injections: Sequence[Injection]) -> Iterator[str]:
    """Seconds from a fault's end until messages flow, and until they are stored as well."""
    by_fault: defaultdict[str, list[Injection]] = defaultdict(list)
    for injection in injections:
        by_fault[injection.fault].append(injection)
    yield f"{'':<30}       flows after    stored after    alone"
    yield f"{'fault':<30} runs   p50    max     p50    max     max target"
    for fault, runs in by_fault.items():
        flows, most_flows = _spread([run.flows_after_s for run in runs])
        stored, most_stored = _spread([run.stored_after_s for run in runs])
        _, alone = _spread([run.stored_after_s for run in runs if run.is_alone])
        target = "" if runs[0].target_s is None else f"{runs[0].target_s:.0f}"
        times = f"{flows:>5} {most_flows:>6}  {stored:>6} {most_stored:>6}  {alone:>6} {target:>6}"
        yield f"{fault:<30} {len(runs):>4} {times}"


def _spread(seconds: Sequence[float | None]) -> tuple[str, str]:
    """Median and maximum."""
    known = [one for one in seconds if one is not None]
    if not known or len(known) < len(seconds):
        return "-", "never"
    return f"{statistics.median(known):.2f}", f"{max(known):.2f}"


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time()), help="of an earlier run")
    parser.add_argument("--minutes", type=float, default=10, help="each fault comes once at least")
    parser.add_argument("--short", action="store_true", help="no fault that takes long")
    parser.add_argument("--only", default="", help="names of faults, separated by commas")
    parser.add_argument("--list", action="store_true", help="the faults' names")
    options = parser.parse_args()
    known = {fault.name: fault for fault in all_faults(is_short=options.short)}
    if options.list:
        _say("\n".join(known))
        return 0
    names = [name.strip() for name in options.only.split(",") if name.strip()] or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such fault: {', '.join(unknown)}; --list shows them")
    _say(f"seed {options.seed}, {len(names)} kinds of faults")
    chosen = [known[name] for name in names]
    return 0 if asyncio.run(campaign(chosen, options.seed, options.minutes)) else 1


if __name__ == "__main__":
    sys.exit(main())
