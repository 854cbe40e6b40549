"""A list of blocks that keeps its place: at its end, or where the reader is."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from rich.console import RenderableType
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

NEAR = 5
"""So few lines from the beginning, what is before it is asked for."""


class Block(Hashable, Protocol):
    """What is drawn of it follows from its value alone."""

    @property
    def key(self) -> str:
        """Tells it from the others of a list, also after a change."""

    @property
    def can_be_chosen(self) -> bool:
        """Whether the keys stop at it."""


B = TypeVar("B", bound=Block)


class Blocks(ScrollView, Generic[B], can_focus=True):
    """`show` it blocks. Each is drawn once for a width, so that a thousand cost next to nothing."""

    DEFAULT_CSS = """
    Blocks { overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"blocks--selected"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]

    class Told(Message):
        """Something that a list has to say."""

        def __init__(self, blocks: Widget, key: str = "") -> None:
            super().__init__()
            self.blocks = blocks
            self.key = key
            """Of the block that it is about."""

        @property
        def control(self) -> Widget:
            return self.blocks

    class Chosen(Told):
        """By Enter or a click."""

    class NearBeginning(Told):
        """It has become so."""

    def __init__(
        self,
        draw: Callable[[B, int], RenderableType],
        *,
        id: str,  # noqa: A002 - textual's
        is_log: bool = False,
    ) -> None:
        """`draw` gets a block and how many cells wide it is.

        A log stays at its end, or at the blocks in sight, whatever comes before and after them.
        """
        super().__init__(id=id)
        self.selected: str | None = None
        """A block's key."""
        self.blocks: Sequence[B] = ()
        self._draw = draw
        self._is_log = is_log
        self._strips: dict[B, list[Strip]] = {}
        self._lines: list[tuple[str, Strip]] = []
        self._width = 0
        self._was_at_end = True

    def show(self, blocks: Sequence[B]) -> None:
        """These, in place of those before."""
        if blocks != self.blocks:
            self.blocks = blocks
            self._lay_out()

    @property
    def is_at_end(self) -> bool:
        """Whether the last block is in sight."""
        return self.scroll_offset.y >= self.max_scroll_y

    @property
    def is_near_beginning(self) -> bool:
        """Whether what comes before the first block is of use now."""
        return bool(self.blocks) and self.scroll_offset.y < NEAR

    def to_end(self) -> None:
        """Shows the last block, and those that come after it."""
        self._scroll(self.max_scroll_y)

    # ------------------------------------------------------------------ laying out

    def on_resize(self, _event: Resize) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        place = self._place() if self._is_log and not self._was_at_end else None
        known = self._strips if width == self._width else {}
        self._width = width
        self._strips = {block: known.get(block) or self._drawn(block) for block in self.blocks}
        self._lines = [(block.key, strip) for block in self.blocks for strip in self._strips[block]]
        self.virtual_size = Size(width, len(self._lines))
        if place is not None:
            self._scroll(self._line_of(*place))
        elif self._is_log:
            self.to_end()
        self.refresh()

    def _drawn(self, block: B) -> list[Strip]:
        console = self.app.console
        options = console.options.update(width=self._width, height=None, highlight=False)
        lines = console.render_lines(self._draw(block, self._width), options)
        return [Strip(line, self._width) for line in lines]

    def _place(self) -> tuple[str, int]:
        """The first block in sight that will stay, and which of its lines is the first."""
        keys = {block.key for block in self.blocks if block.can_be_chosen}
        y = self.scroll_offset.y
        for number, (key, _) in enumerate(self._lines[y:], y):
            if key in keys:
                return key, y - number + self._number_in(number)
        return "", 0

    def _number_in(self, number: int) -> int:
        key = self._lines[number][0]
        first = next(at for at, (other, _) in enumerate(self._lines) if other == key)
        return number - first

    def _line_of(self, key: str, offset: int) -> int:
        first = next((at for at, (other, _) in enumerate(self._lines) if other == key), 0)
        return max(0, first + offset)

    def _scroll(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)
        self._was_at_end = self.is_at_end
        self._ask_for_more()

    # ------------------------------------------------------------------ what the user does

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._was_at_end = self.is_at_end
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        if self.is_near_beginning:
            self.post_message(self.NearBeginning(self))

    def action_move(self, by: int) -> None:
        """Selects the next block of those that can be chosen, or the last."""
        keys = [block.key for block in self.blocks if block.can_be_chosen]
        if not keys:
            return
        at = keys.index(self.selected) + by if self.selected in keys else len(keys) - 1
        self.selected = keys[min(max(at, 0), len(keys) - 1)]
        if self._is_log and at >= len(keys) - 1:
            self.to_end()
        else:
            first = self._line_of(self.selected, 0)
            height = sum(key == self.selected for key, _ in self._lines)
            region = Region(0, first, self._width, height)
            self.scroll_to_region(region, animate=False, immediate=True, force=True)
        self.refresh()

    def action_choose(self) -> None:
        if self.selected is not None:
            self.post_message(self.Chosen(self, self.selected))

    def on_click(self, event: Click) -> None:
        number = self.scroll_offset.y + event.y - self.gutter.top
        chosen = {block.key for block in self.blocks if block.can_be_chosen}
        if 0 <= number < len(self._lines) and self._lines[number][0] in chosen:
            self.selected = self._lines[number][0]
            self.refresh()
            self.action_choose()

    def on_blur(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        number = self.scroll_offset.y + y
        if number >= len(self._lines):
            return Strip.blank(self._width, self.rich_style)
        key, strip = self._lines[number]
        if key == self.selected and self.has_focus:
            return strip.apply_style(self.get_component_rich_style("blocks--selected"))
        return strip.apply_style(self.rich_style)
