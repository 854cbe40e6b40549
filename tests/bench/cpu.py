"""CPU time and memory of processes with all their descendants, from /proc."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """User and system CPU seconds so far, by name, of each pid and all below it.

    Children that have ended count as well, once their parents have waited for them.
    """
    stats = _stats()
    used = {pid: sum(map(int, fields[11:15])) * TICK_S for pid, fields in stats.items()}
    return {
        name: sum(used.get(pid, 0.0) for pid in pids) for name, pids in _trees(roots, stats).items()
    }


def memory_bytes(roots: Mapping[str, int]) -> dict[str, int]:
    """What each pid and all below it keep in memory, by name; what several share counts once."""
    trees = _trees(roots, _stats())
    return {name: sum(map(_proportional_bytes, pids)) for name, pids in trees.items()}


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def _stats() -> dict[int, list[str]]:
    """Of every process the fields after its name."""
    stats: dict[int, list[str]] = {}
    for pid in _pids():
        try:
            stats[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return stats


def _pids() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _trees(roots: Mapping[str, int], stats: Mapping[int, list[str]]) -> dict[str, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, fields in stats.items():
        children[int(fields[1])].append(pid)
    return {name: _tree(root, children) for name, root in roots.items()}


def _tree(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def busy_cores(seconds: float) -> float:
    """How many cores all programs of the machine have while this sleeps so long."""
    began, before = time.monotonic(), _busy_s()
    time.sleep(seconds)
    return (_busy_s() - before) / (time.monotonic() - began)


def _busy_s() -> float:
    """Since the machine started; neither idle nor waiting for a disk."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) * TICK_S
