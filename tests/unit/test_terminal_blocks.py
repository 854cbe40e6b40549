"""The list that keeps its place (local/terminal/blocks.py), in an app without a terminal."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from local.terminal.blocks import Blocks

HEIGHT = 10


@dataclass(frozen=True)
class Item:
    key: str
    text: str = ""
    can_be_chosen: bool = True


class Shown(App[None]):
    def __init__(self, *, is_log: bool) -> None:
        super().__init__()
        self.is_log = is_log
        self.drawn: Counter[str] = Counter()
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield Blocks[Item](self._draw, id="blocks", is_log=self.is_log)

    def _draw(self, item: Item, width: int) -> Text:
        self.drawn[item.key] += 1
        return Text(item.text or item.key)

    def on_blocks_chosen(self, event: Blocks.Chosen) -> None:
        self.told.append(event.key)

    @property
    def blocks(self) -> Blocks[Item]:
        return self.query_one(Blocks)

    def seen(self) -> list[str]:
        """The first line of what is in sight, and the last."""
        lines = [self.blocks.render_line(y).text.strip() for y in range(HEIGHT)]
        return [lines[0], next(line for line in reversed(lines) if line)]


@asynccontextmanager
async def shown(*, is_log: bool = True) -> AsyncIterator[tuple[Shown, Pilot[None]]]:
    app = Shown(is_log=is_log)
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        yield app, pilot


def items(first: int, last: int) -> list[Item]:
    return [Item(str(number)) for number in range(first, last + 1)]


async def test_a_log_stays_at_its_end() -> None:
    async with shown() as (app, pilot):
        app.blocks.show(items(1, 30))
        assert app.seen() == ["21", "30"]
        app.blocks.show(items(1, 31))
        assert app.seen() == ["22", "31"]
        await pilot.resize_terminal(12, HEIGHT)
        assert app.seen() == ["22", "31"]


async def test_a_log_stays_at_what_is_read_whatever_comes_before_and_after_it() -> None:
    async with shown() as (app, pilot):
        app.blocks.show(items(51, 80))
        await pilot.pause()
        app.blocks.scroll_to(y=3, animate=False, immediate=True)
        assert app.seen() == ["54", "63"]
        app.blocks.show(items(1, 90))
        assert app.seen() == ["54", "63"]
        app.blocks.to_end()
        assert app.seen() == ["81", "90"]


async def test_a_list_stays_at_its_beginning() -> None:
    async with shown(is_log=False) as (app, _):
        app.blocks.show(items(5, 40))
        assert app.seen() == ["5", "14"]
        app.blocks.show(items(1, 40))
        assert app.seen() == ["1", "10"]


async def test_one_that_changes_is_the_only_one_drawn_anew() -> None:
    async with shown() as (app, pilot):
        app.blocks.show(items(1, 1000))
        app.drawn.clear()
        changed = [*items(1, 999), Item("1000", "read")]
        app.blocks.show(changed)
        assert app.drawn == {"1000": 1}
        assert app.seen()[1] == "read"
        await pilot.resize_terminal(12, HEIGHT)
        assert app.drawn.total() == 1001, "another width draws all anew"


@pytest.mark.parametrize("is_log", [True, False])
async def test_keys_stop_at_what_can_be_chosen(is_log: bool) -> None:
    between = Item("between", can_be_chosen=False)
    async with shown(is_log=is_log) as (app, pilot):
        app.blocks.show([*items(1, 20), between, *items(21, 22)])
        app.blocks.focus()
        await pilot.press("up", "enter", "up", "up", "enter")
        assert app.told == ["22", "20"]
        assert app.blocks.is_at_end
        await pilot.press(*["up"] * 30, "enter")
        assert app.told[-1] == "1"
        assert app.seen()[0] == "1"
        await pilot.click(offset=(1, 4))
        assert app.told[-1] == "5"
