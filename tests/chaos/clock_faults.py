"""The clock of one process is ten minutes ahead or behind, and then right again."""

import asyncio
from functools import partial
from random import Random
from time import perf_counter

from local.roles import ROLES, Role
from tests.chaos.clocks import LOOKS_EVERY_S
from tests.chaos.faults import Done, Fault, Scene, Unexpected

OFF_S = 600


async def _off(role: Role, seconds: float, scene: Scene, random: Random) -> str:
    """Nobody notices: order is the sequence numbers', time-outs are the monotonic clock's, and
    members are counted by Redis' clock alone."""
    program = scene.clocks.program(role)
    offset_s = random.choice((OFF_S, -OFF_S))
    scene.clocks.set(program, offset_s)
    try:
        await asyncio.sleep(LOOKS_EVERY_S)
        since = perf_counter()
        if scene.is_alone and await scene.flows(since, seconds) is None:
            raise Unexpected(f"no messages flow while {program}'s clock is {offset_s:+d} s off")
        await asyncio.sleep(max(0.0, since + seconds - perf_counter()))
    finally:
        scene.clocks.set(program, 0)
    await asyncio.sleep(LOOKS_EVERY_S)
    scene.lifted()
    return f"{program}, {offset_s:+d} s"


def faults(*, is_short: bool) -> list[Fault]:
    seconds = 4.0 if is_short else 10.0
    return [
        Done(f"{role.name} clock off", "nobody", None, partial(_off, role, seconds))
        for role in ROLES
    ]
