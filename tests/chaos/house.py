"""The stack that a campaign strikes: two processes of each role, limits as in production."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from local.progress import Progress
from local.roles import Counts
from local.stack import Stack
from tests.integration.conftest import System
from tests.integration.watching import House, open_house

COUNTS = Counts(gateway=2, router=2, persister=2, rest=2)


@dataclass(frozen=True)
class Chaos:
    """Use `chaos_stack`."""

    house: House
    """Speaks to the servers themselves."""
    system: System
    """At the edge itself."""

    @property
    def stack(self) -> Stack:
        return self.house.stack


@asynccontextmanager
async def chaos_stack(
    name: str = "chaos",
    progress: Progress | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Chaos]:
    """A stack of its own with empty servers; whole at the beginning, stopped at the end.

    Of the caller's CHAT_* variables only CHAT_PARTITIONS counts: under `make test` they are those
    of the stack under test. `settings` are more of them.
    """
    environ = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith("CHAT_") or variable == "CHAT_PARTITIONS"
    }
    stack = Stack(name, environ | dict(settings or {}), progress)
    await asyncio.to_thread(stack.start, COUNTS, fresh=True, tied=True)
    try:
        async with open_house(stack) as house:
            await house.is_whole()
            yield Chaos(house, System(house.variables))
    finally:
        stack.stop()
