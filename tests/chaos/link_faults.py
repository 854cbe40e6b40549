"""The lines between the roles and the servers fall silent, break, are slow, and lose segments."""

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from local.roles import REST, ROLES, Role
from tests.chaos.faults import Done, Fault, Scene
from tests.chaos.links import link_name, servers_of
from tests.chaos.process_faults import touched_by

CUT_S: Final = 3.0
DELAY_S: Final = 0.2
JITTER_S: Final = 0.1
LOST: Final = 0.1
BACK_S: Final = 5.0
"""The target after a cut: a server that can be reached again."""


def choose(role: Role, scene: Scene, random: Random) -> tuple[str, list[str]]:
    """One of the role's servers, and the links to it: of one process, or of all."""
    server = random.choice(servers_of(role))
    programs = scene.house.programs(role)
    if random.random() < 0.5:
        programs = [random.choice(programs)]
    scene.hit.update(programs)
    return server, [link_name(program, server) for program in programs]


async def _partitioned(role: Role, seconds: float, scene: Scene, random: Random) -> str:
    """Nothing comes through, and nobody is told. Afterwards what was sent meanwhile comes late;
    or the network has forgotten the connections, which stay half-open, and takes new ones."""
    server, names = choose(role, scene, random)
    # The REST API leaves it to TCP to find out that PostgreSQL vanished, which the proxy hides.
    forgets = (role, server) != (REST, "postgres") and random.random() < 0.5
    try:
        _do(scene, names, "blackhole")
        await asyncio.sleep(seconds)
    finally:
        if forgets:
            _do(scene, names, "silence")
        _do(scene, names, "pass")
    scene.lifted()
    return f"{', '.join(names)}; {'half-open for ever' if forgets else 'then all comes'}"


async def _cut(role: Role, scene: Scene, random: Random) -> str:
    """RST to all connections, and to all who try to come back for a while."""
    _, names = choose(role, scene, random)
    try:
        _do(scene, names, "refuse")
        await asyncio.sleep(CUT_S)
    finally:
        _do(scene, names, "pass")
    scene.lifted()
    return ", ".join(names)


async def _slow(what: str, how: dict[str, float], seconds: float, scene: Scene, _: Random) -> str:
    """All links of all roles."""
    names = [
        link_name(program, server)
        for role in ROLES
        for program in scene.house.programs(role)
        for server in servers_of(role)
    ]
    try:
        _do(scene, names, what, **how)
        await asyncio.sleep(seconds)
    finally:
        _do(scene, names, "pass")
    scene.lifted()
    return f"{len(names)} links for {seconds:.0f} s"


def _do(scene: Scene, names: Sequence[str], what: str, **how: float) -> None:
    for name in names:
        scene.links.do(name, what, **how)


def faults(*, is_short: bool) -> list[Fault]:
    seconds = 4.0 if is_short else 10.0
    found: list[Fault] = []
    for role in ROLES:
        touches = touched_by(role)
        partitioned = partial(_partitioned, role, seconds)
        found += [
            Done(f"{role.name} link partitioned {seconds:.0f} s", touches, None, partitioned),
            Done(f"{role.name} link cut {CUT_S:.0f} s", touches, BACK_S, partial(_cut, role)),
        ]
    delay = {"s": DELAY_S, "jitter": JITTER_S}
    return [
        *found,
        Done(
            f"links delayed {DELAY_S * 1000:.0f} ms",
            "nobody",
            None,
            partial(_slow, "delay", delay, seconds),
        ),
        Done(
            f"links lose {LOST:.0%}", "nobody", None, partial(_slow, "loss", {"p": LOST}, seconds)
        ),
    ]
