"""Strikes a whole system of its own with faults while many users chat: `make chaos`.

Ends with 1 when something was violated: of what users were told and what is stored (`checker`), of
what was acknowledged (`verdict`), of recovery (`injecting`).
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from random import Random
from time import monotonic, perf_counter, time
from typing import Final
from uuid import UUID

from local.layout import Layout
from local.progress import Progress
from tests.chaos import client_faults, clock_faults, link_faults, process_faults, server_faults
from tests.chaos.checker import check
from tests.chaos.collecting import collect
from tests.chaos.evidence import Evidence, Violation, load, save
from tests.chaos.faults import Fault, Servers
from tests.chaos.house import Chaos, chaos_stack
from tests.chaos.injecting import Injecting, Step, plan
from tests.chaos.memory import Range, watching_memory
from tests.chaos.probes import probing
from tests.chaos.recorder import Recorder
from tests.chaos.verdict import Stored, Told, judge, late, table
from tests.chaos.workload import Workload

KINDS: Final = (process_faults, server_faults, client_faults, link_faults, clock_faults)
STORED_WITHIN_S: Final = 10.0
USERS: Final = 44
MESSAGES_PER_SECOND: Final = 100.0
"""Of all users together: what two cores have room for beside the system that is struck."""
SHOWN_MOST: Final = 30
"""Violations that are printed; the evidence has them all."""


def all_faults(*, is_short: bool) -> list[Fault]:
    """What a campaign knows to do."""
    return [fault for kind in KINDS for fault in kind.faults(is_short=is_short)]


async def campaign(
    chosen: Sequence[Fault], seed: int, minutes: float, *, users: int = USERS
) -> bool:
    """Every fault alone, then several at once until the time is over; whether all was well."""
    steps: Iterator[Step] = plan(chosen, Random(seed))
    random, until = Random(seed), monotonic() + minutes * 60
    recorder = Recorder()
    async with AsyncExitStack() as scene:
        chaos = await scene.enter_async_context(chaos_stack(progress=Progress()))
        memory = await scene.enter_async_context(watching_memory(chaos.stack))
        workload = await scene.enter_async_context(
            Workload(chaos.system, seed, recorder, users=users, rate=MESSAGES_PER_SECOND)
        )
        async with probing(chaos.house, chaos.system, Servers(chaos.stack)) as probes:
            workload.start()
            injecting = Injecting(chaos, probes, recorder, say=_say)
            for step in islice(steps, len(chosen)):
                await injecting.take(step, random)
            while monotonic() < until:
                await injecting.take(next(steps), random)
            workload.pause()
        _say(f"all faults are over; {workload.progress()}")
        await workload.settle()
        evidence = await collect(
            chaos.house,
            chaos.system,
            workload,
            recorder,
            seed=seed,
            injections=injecting.injections,
            explained=injecting.explained,
        )
        told = [*probes.told(), *_told(evidence)]
        stored = await _all_stored(chaos, told)
    return _reported(evidence, injecting.violations, told, stored, memory)


def _told(evidence: Evidence) -> Iterator[Told]:
    for sent in evidence.operations:
        if sent.kind == "send" and sent.answer is not None and sent.outcome == "ok":
            name = _name(sent.user, sent.client_message_id)
            yield Told(sent.ended, name, UUID(sent.answer["messageId"]), sent.answer["seq"])


def _name(sender: UUID, client_message_id: UUID | None) -> tuple[UUID, UUID] | None:
    return None if client_message_id is None else (sender, client_message_id)


async def _all_stored(chaos: Chaos, told: Sequence[Told]) -> list[Stored]:
    """When all is stored, or should be: what was acknowledged last is still on its way at first."""
    until = monotonic() + STORED_WITHIN_S
    while True:
        rows = await chaos.house.database.fetch(
            "select sender_id, client_message_id, id, seq from messages"
        )
        stored = [
            Stored(_name(row["sender_id"], row["client_message_id"]), row["id"], row["seq"])
            for row in rows
        ]
        if not judge(told, stored).lost or monotonic() > until:
            return stored
        await asyncio.sleep(0.1)


def _reported(
    evidence: Evidence,
    of_recovery: Sequence[Violation],
    told: Sequence[Told],
    stored: Sequence[Stored],
    memory: dict[str, Range],
) -> bool:
    """Prints all that there is to know; whether all was well."""
    file = Layout("chaos").folder / "evidence.json"
    save(evidence, file)
    _say(f"evidence: {file}")
    began = perf_counter()
    violations = [*of_recovery, *late(evidence.injections), *check(evidence)]
    heard, wanted = len(evidence.heard), len(evidence.operations)
    _say(f"checked {wanted} operations and {heard} frames in {perf_counter() - began:.1f} s")
    for line in table(evidence.injections, told, stored):
        _say(line)
    for program, (least, most) in sorted(memory.items()):
        _say(f"{program:<12} {least:6.0f} to {most:6.0f} MiB")
    verdict = judge(told, stored)
    for violation in violations[:SHOWN_MOST]:
        _say(f"VIOLATION {violation}")
    _say(
        f"seed {evidence.seed}, {len(evidence.injections)} injections;"
        f" {verdict}; {len(violations)} violations"
    )
    return verdict.is_good and not violations


def _judged_again(file: Path) -> int:
    """The exit code."""
    evidence = load(file)
    violations = [*late(evidence.injections), *check(evidence)]
    for violation in violations:
        _say(f"VIOLATION {violation}")
    _say(f"{len(violations)} violations")
    return 1 if violations else 0


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
    parser.add_argument("--judge", metavar="FILE", help="an earlier run's evidence, once more")
    options = parser.parse_args()
    if options.judge:
        return _judged_again(Path(options.judge))
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
