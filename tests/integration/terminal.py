"""A terminal chat under test: textual's own pilot, and the screen as text."""

import html
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from textual.pilot import Pilot

from local.terminal.app import TerminalChat
from local.terminal.composer import Composer
from tests.integration.conftest import System
from tests.integration.watching import until

WIDE, NARROW = (100, 30), (40, 24)
WITHIN_S = 20.0
CELL = re.compile(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>')


class Terminal:
    """One user's terminal. `sees` waits for what the screen shows, as a person would read it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        app = pilot.app
        assert isinstance(app, TerminalChat)
        self.app = app

    def screen(self) -> list[str]:
        """Its lines, from the top."""
        lines: defaultdict[float, list[tuple[float, str]]] = defaultdict(list)
        for x, y, text in CELL.findall(self.app.export_screenshot()):
            lines[float(y)].append((float(x), html.unescape(text).replace("\xa0", " ")))
        return [" ".join(text for _, text in sorted(lines[y])) for y in sorted(lines)]

    async def sees(self, *texts: str, within_s: float = WITHIN_S) -> None:
        """All of these in one line."""

        async def shown() -> bool:
            await self.pilot.pause()
            return any(all(text in line for text in texts) for line in self.screen())

        await until(shown, within_s, lambda: f"a line with {texts}:\n" + "\n".join(self.screen()))

    async def sees_no(self, text: str) -> None:
        async def gone() -> bool:
            await self.pilot.pause()
            return not any(text in line for line in self.screen())

        await until(gone, WITHIN_S, lambda: f"no line with {text}:\n" + "\n".join(self.screen()))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Key by key, and then Enter."""
        await self.pilot.press(*("space" if key == " " else key for key in text), "enter")

    async def write(self, text: str) -> None:
        """At once, as when it is pasted, and then Enter."""
        self.app.query_one(Composer).insert(text)
        await self.pilot.press("enter")


@asynccontextmanager
async def terminal(
    system: System,
    user: UUID,
    open_id: UUID | None = None,
    *,
    edge: str | None = None,
    size: tuple[int, int] = WIDE,
) -> AsyncIterator[Terminal]:
    app = TerminalChat(edge or system.edge, user, system.tokens(user), open_id=open_id)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Terminal(pilot)
