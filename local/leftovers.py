"""Finds and ends what an earlier run of a stack left behind, such as after a SIGKILL.

Only /proc is believed: a pid file may name a stranger by now. A process is a stack's when it
inherited STACK_FOLDER from its supervisord. nginx, PostgreSQL and Redis write their titles over
that part of their memory; they are known by their name and by working inside the stack's folder.
"""

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

RETITLED = {"nginx", "postgres", "redis-server"}


def stack_processes(folder: Path) -> list[int]:
    """The pids of all processes of the stack in `folder`, its supervisord included."""
    marker = b"\0STACK_FOLDER=" + os.fsencode(folder) + b"\0"
    return [
        pid
        for pid in _pids()
        if marker in b"\0" + _read(pid, "environ") + b"\0"
        or (_command(pid) in RETITLED and _works_in(pid, folder))
    ]


def nginx_processes(folder: Path) -> list[int]:
    """The pids of all nginx processes, masters and workers, that work in `folder`."""
    return [pid for pid in _pids() if _command(pid) == "nginx" and _works_in(pid, folder)]


def is_supervisord(pid: int, config: Path) -> bool:
    """Whether `pid` is the supervisord that runs with `config`."""
    arguments = _read(pid, "cmdline").split(b"\0")
    return os.fsencode(config) in arguments and any(b"supervisord" in word for word in arguments)


def end(pids: Collection[int], patience: float = 10.0) -> None:
    """End these processes: SIGTERM, and SIGKILL for those still there after `patience` seconds."""
    alive = _signal_all(pids, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [pid for pid in alive if is_alive(pid)]
    alive = _signal_all(alive, signal.SIGKILL)
    while alive and time.monotonic() < deadline + 5:
        time.sleep(0.02)
        alive = [pid for pid in alive if is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    status = _read(pid, "stat")
    return bool(status) and status[status.rindex(b")") + 2 :][:1] not in (b"Z", b"X")


def _signal_all(pids: Collection[int], number: signal.Signals) -> list[int]:
    reached: list[int] = []
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        reached.append(pid)
    return reached


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _read(pid: int, name: str) -> bytes:
    """A file of /proc, empty where the process is gone or another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command(pid: int) -> str:
    return os.fsdecode(_read(pid, "comm")).strip()


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    except OSError:
        return False
