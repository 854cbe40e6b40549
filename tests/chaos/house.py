"""The stack that a campaign strikes: two processes of each role, limits as in production."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from local.layout import Layout
from local.progress import Progress
from local.roles import Counts, Role
from local.stack import Stack
from local.starting import OwnVariables
from tests.chaos.clocks import Clocks, open_clocks
from tests.chaos.links import Links
from tests.integration.conftest import System
from tests.integration.watching import House, open_house

COUNTS = Counts(gateway=2, router=2, persister=2, rest=2)


@dataclass(frozen=True)
class Whole:
    """Use `whole_stack`."""

    house: House
    """Speaks to the servers themselves."""
    system: System
    """At the edge itself."""

    @property
    def stack(self) -> Stack:
        return self.house.stack


@dataclass(frozen=True)
class Chaos(Whole):
    """Use `chaos_stack`."""

    links: Links
    clocks: Clocks


@asynccontextmanager
async def whole_stack(
    name: str,
    progress: Progress | None = None,
    settings: Mapping[str, str] | None = None,
    own_variables: OwnVariables | None = None,
) -> AsyncIterator[Whole]:
    """A stack of its own with empty servers; whole at the beginning, stopped at the end.

    Of the caller's CHAT_* variables only CHAT_PARTITIONS counts, under `make test` they are those
    of the stack under test; `settings` are added. `own_variables`: see `Stack.start`.
    """
    environ = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith("CHAT_") or variable == "CHAT_PARTITIONS"
    }
    stack = Stack(name, environ | dict(settings or {}), progress)
    await asyncio.to_thread(stack.start, COUNTS, fresh=True, tied=True, own_variables=own_variables)
    try:
        async with open_house(stack) as house:
            await house.is_whole()
            yield Whole(house, System(house.variables))
    finally:
        stack.stop()


@asynccontextmanager
async def chaos_stack(
    name: str = "chaos", progress: Progress | None = None
) -> AsyncIterator[Chaos]:
    """The same, with links that can be disturbed and clocks that can be off."""
    folder = Layout(name).folder / "clocks"
    with Links() as links, open_clocks(folder, COUNTS) as clocks:

        def own(role: Role, program: str, variables: Mapping[str, str]) -> dict[str, str]:
            return links.detours(role, program, variables) | clocks.variables(role, program)

        async with whole_stack(name, progress, own_variables=own) as whole:
            yield Chaos(whole.house, whole.system, links, clocks)
