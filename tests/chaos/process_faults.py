"""Processes of the roles are killed, stopped for a while, and restarted one after the other."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter

from local.roles import GATEWAY, ROLES, Role
from tests.chaos.faults import Done, Fault, Scene, Touches

KILLED_S = 3.0
"""The target of a killed role."""


def touched_by(role: Role) -> Touches:
    return "gateway" if role == GATEWAY else "nobody"


async def _killed(role: Role, scene: Scene, random: Random) -> str:
    """SIGKILL; supervisor starts it anew."""
    program = scene.choose(role, random)
    pid = await _pid(scene, program)
    # Of the REST API either gunicorn's master dies, or the worker that it watches.
    pid = random.choice([pid, *children(pid)])
    _signal([pid], signal.SIGKILL)
    scene.lifted()
    return f"{program}, pid {pid}"


async def _stopped(role: Role, seconds: float, scene: Scene, random: Random) -> str:
    """SIGSTOP, and SIGCONT after a while: for the others it is silent, for itself time leaps."""
    program = scene.choose(role, random)
    pid = await _pid(scene, program)
    # gunicorn's workers do the work of the REST API; a stopped master alone would be no fault.
    pids = [pid, *children(pid)]
    _signal(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        _signal(pids, signal.SIGCONT)
    scene.lifted()
    return f"{program}, pid {pid}"


async def _restarted(role: Role, scene: Scene, random: Random) -> str:
    """Each process of the role is stopped gracefully and started; the next when it is ready."""
    programs = scene.house.programs(role)
    random.shuffle(programs)
    took: list[str] = []
    for program in programs:
        scene.hit.add(program)
        began = perf_counter()
        async with scene.changing:
            await asyncio.to_thread(_restart, scene, program)
        took.append(f"{program} {perf_counter() - began:.1f} s")
    scene.lifted()
    return ", ".join(took)


def _restart(scene: Scene, program: str) -> None:
    try:
        scene.stack.stop_program(program)
    finally:
        scene.stack.start_program(program)


def children(pid: int) -> list[int]:
    """Of a process of this machine, all generations."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    own = [int(child) for child in text.split()]
    return own + [grandchild for child in own for grandchild in children(child)]


async def _pid(scene: Scene, program: str) -> int:
    """Waits while there is none: another fault has just killed it."""
    while True:
        pid = (await asyncio.to_thread(scene.stack.pids)).get(program)
        if pid:
            return pid
        await asyncio.sleep(0.05)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def faults(*, is_short: bool) -> list[Fault]:
    """In the short form of the campaign nothing takes long."""
    found: list[Fault] = []
    for role in ROLES:
        name, touches = role.name, touched_by(role)
        found += [
            Done(f"{name} killed", touches, KILLED_S, partial(_killed, role)),
            Done(f"{name} rolling restart", touches, None, partial(_restarted, role)),
        ]
        for seconds in (5,) if is_short else (5, 30):
            stopped = partial(_stopped, role, seconds)
            found.append(Done(f"{name} stopped {seconds} s", touches, None, stopped))
    return found
