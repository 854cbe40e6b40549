"""The pure part of `make fuzz`: every target under atheris, two at a time."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from local.layout import ROOT
from tests.fuzz.targets import TARGETS
from tests.fuzz.typed import TYPED

NAMES: Final = (*TARGETS, *(f"{name}:typed" for name in TYPED))
AT_ONCE: Final = 2
_RUNS: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


class Result(NamedTuple):
    """Of one target. `trouble` has the end of what it said, when it failed."""

    name: str
    runs: int
    trouble: str = ""


async def run_all(seconds: float, folder: Path, packages: Path) -> list[Result]:
    """Each for its share of the time. `folder` keeps what they find; `packages` has atheris."""
    share_s = max(1, int(seconds * AT_ONCE / len(NAMES)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(packages)))}
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(name: str) -> Result:
        async with turns:
            result = await _run(name, share_s, folder, environment)
            print(f"  {name:20} {result.runs:>12,} runs in {share_s} s", flush=True)
            return result

    return list(await asyncio.gather(*map(run, NAMES)))


async def _run(name: str, share_s: int, folder: Path, environment: Mapping[str, str]) -> Result:
    corpus = folder / name.replace(":", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fuzz.one_target", name),
        *(f"-max_total_time={share_s}", "-print_final_stats=1", "-max_len=2000", "-timeout=10"),
        *(f"-artifact_prefix={folder}/{corpus.name}-", str(corpus)),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    runs = _RUNS.search(output)
    return Result(
        name,
        int(runs[1]) if runs else 0,
        output[-4_000:] if process.returncode else "",
    )
