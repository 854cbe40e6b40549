"""CPU time of processes with all their descendants, from /proc."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """User and system CPU seconds so far, by name, of each pid and all below it.

    Children that have ended count as well, once their parents have waited for them.
    """
    parents: dict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for pid in _pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        parents[int(fields[1])].append(pid)
        used[pid] = sum(map(int, fields[11:15])) * TICK_S
    return {
        name: sum(used.get(pid, 0.0) for pid in _tree(root, parents))
        for name, root in roots.items()
    }


def _pids() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _tree(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found
