"""How much memory each program of a stack has, sampled: least and most, for "stays bounded"."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from local.stack import Stack
from tests.chaos.process_faults import children

SAMPLE_S: Final = 2.0


class Range(NamedTuple):
    """MiB of a program's own memory, over all of its processes."""

    least: float
    most: float


@asynccontextmanager
async def watching_memory(stack: Stack) -> AsyncIterator[dict[str, Range]]:
    """By program, kept until the end of the block."""
    ranges: dict[str, Range] = {}
    watching = asyncio.create_task(_watch(stack, ranges))
    try:
        yield ranges
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(stack: Stack, ranges: dict[str, Range]) -> None:
    while True:
        for program, size in (await asyncio.to_thread(sizes, stack)).items():
            known = ranges.get(program, Range(size, size))
            ranges[program] = Range(min(known.least, size), max(known.most, size))
        await asyncio.sleep(SAMPLE_S)


def sizes(stack: Stack) -> dict[str, float]:
    """MiB of each program now."""
    return {
        program: sum(map(_own_memory, (pid, *children(pid)))) / 1024
        for program, pid in stack.pids().items()
    }


def _own_memory(pid: int) -> int:
    """KiB. What is not shared: PostgreSQL's processes would count their buffers a hundred times."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = next((line for line in status.splitlines() if line.startswith("RssAnon:")), "")
    return int(found.split()[1]) if found else 0
