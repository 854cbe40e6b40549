"""How lines and rows look."""

from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from local.terminal.lines import Line, Tick
from local.terminal.rows import Row

WIDE: Final = 56
"""From so many cells on there is room for a tick's word beside its sign."""

_TICK_STYLES: Final = {
    Tick.FAILED: "bold #ff8a80",
    Tick.SENDING: "#a0a8b4",
    Tick.SENT: "#a0a8b4",
    Tick.DELIVERED: "#a0a8b4",
    Tick.READ: "bold #5fd7ff",
}
_SOFT: Final = "#a0a8b4"
_OWN: Final = "bold #7fd6a8"
_OTHER: Final = "bold #ffb86b"


def line(shown: Line, width: int) -> RenderableType:
    """A line of the message list."""
    match shown.kind:
        case "between":
            style = "#ffb86b" if shown.key == "divider" else _SOFT
            return Rule(Text(shown.text, style), style="#4a5260")
        case "note":
            return Padding(Text(shown.text, f"italic {_SOFT}"), (0, 1))
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=5)
    grid.add_column(width=5, no_wrap=True, overflow="ellipsis")
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(justify="left", width=12 if width >= WIDE else 2)
    grid.add_row(
        Text(shown.at, _SOFT),
        Text(shown.author, _OWN if shown.author == "You" else _OTHER),
        Text(shown.text, f"italic {_SOFT}" if shown.kind == "gone" else ""),
        _tick(shown.tick, width),
    )
    if not shown.trouble:
        return grid
    return Group(grid, Padding(Text(shown.trouble, "#ff8a80"), (0, 0, 0, 6)))


def _tick(tick: Tick | None, width: int) -> Text:
    if tick is None:
        return Text("")
    word = f"{tick.sign:<2} {tick.word}" if width >= WIDE else tick.sign
    return Text(word, _TICK_STYLES[tick])


def row(shown: Row, _width: int) -> RenderableType:
    """A row of the list of conversations."""
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=1)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right")
    presence = Text("●", "#5fd787") if shown.is_online else Text("○", _SOFT)
    name = Text().append(shown.name, "bold reverse" if shown.is_open else "bold")
    if shown.is_archived:
        name.append("  archived", f"italic {_SOFT}")
    grid.add_row(presence, name, Text(shown.when, _SOFT))
    is_new = bool(shown.unread)
    grid.add_row(
        Text(""),
        Text(shown.preview, "" if is_new else _SOFT),
        Text().append(f" {shown.unread} " if is_new else "", "bold #102030 on #5fd7ff"),
    )
    return Padding(grid, (0, 0, 1, 0))
