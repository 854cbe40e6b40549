"""The app: what is where on the screen, and what the keys do."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import Footer, Static

from libs.client.attending import TokenSource
from local.terminal import drawing
from local.terminal.blocks import Blocks
from local.terminal.chat_pane import ChatPane
from local.terminal.names import name_of
from local.terminal.person import Person, now
from local.terminal.rows import Row, banner_of, rows_of

TICK_S: Final = 0.25
"""So often what changes by itself is looked at: countdowns, who is still typing."""


class TerminalChat(App[None]):
    """One user's chat, at a service that is known by its address."""

    CSS_PATH = Path(__file__).with_name("chat.tcss")
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (70, "-wide")]  # noqa: RUF012 - as textual has it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "to_list", "Conversations"),
        Binding("pageup", "older", "Older", priority=True),
        Binding("pagedown", "newer", "Newer", priority=True, show=False),
        Binding("ctrl+t", "connect", "Connect now"),
        Binding("r", "retry", "Try again"),
        Binding("d", "discard", "Discard"),
        Binding("ctrl+q", "leave", "Quit", priority=True),
    ]

    def __init__(
        self,
        edge: str,
        user_id: UUID,
        token: TokenSource,
        *,
        open_id: UUID | None = None,
        hint: Callable[[UUID], str] = lambda _: "",
    ) -> None:
        """`open_id` is opened first; `hint` says, of another user, what helps in an empty chat."""
        super().__init__()
        self.person = Person(edge, user_id, token, self._changed, self._tell)
        self.person.select(open_id)
        self._hint = hint
        self._is_stale = False
        self._was_warned = False

    def compose(self) -> ComposeResult:
        yield Static(id="banner", markup=False)
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Static(f"{name_of(self.person.user_id)} (you)", id="me", markup=False)
                yield Blocks[Row](drawing.row, id="list")
            yield ChatPane(self.person, self._hint)
        yield Footer()

    def on_mount(self) -> None:
        self.title = f"Chat of {name_of(self.person.user_id)}"
        self.run_worker(self.person.stay())
        self.set_interval(TICK_S, self._show)
        self._show()

    # ------------------------------------------------------------------ what is shown

    def _changed(self) -> None:
        """Soon, and once for all that changes until then."""
        if self.is_running and not self._is_stale:
            self._is_stale = True
            self.call_later(self._show)

    def _tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    def _show(self) -> None:
        self._is_stale = False
        with suppress(NoMatches):  # the screen is being closed
            self._show_all()

    def _show_all(self) -> None:
        person, clocks = self.person, (datetime.now().astimezone(), now())
        waiting = sum(item.error is None for item in person.device.outbox)
        banner = self.query_one("#banner", Static)
        text = banner_of(person.device.state, waiting, clocks[1])
        banner.update(text)
        banner.set_class(bool(text), "-shown")
        conversations = person.conversations.values()
        self._list.show(rows_of(conversations, person.user_id, person.open_id, clocks))
        self.screen.set_class(person.open_id is not None, "-chatting")
        self._chat.show(*clocks)
        self.refresh_bindings()

    @property
    def _list(self) -> Blocks[Row]:
        return self.query_one("#list", Blocks)

    @property
    def _chat(self) -> ChatPane:
        return self.query_one(ChatPane)

    # ------------------------------------------------------------------ what the keys do

    @on(Blocks.Chosen, "#list")
    def choose(self, event: Blocks.Chosen) -> None:
        self._chat.turn_anew()
        self.person.select(UUID(event.key))

    def action_to_list(self) -> None:
        """To the list, where a narrow terminal shows nothing else."""
        open_id = self.person.open_id
        if self.screen.has_class("-narrow"):
            self.person.select(None)
            self._show()
        if self._list.selected is None and open_id is not None:
            self._list.selected = str(open_id)
        self._list.focus()

    def action_older(self) -> None:
        self._chat.messages.scroll_page_up(animate=False)

    def action_newer(self) -> None:
        self._chat.messages.scroll_page_down(animate=False)

    def action_connect(self) -> None:
        self.person.connect()

    def action_retry(self) -> None:
        if (refused := self._chat.refused) is not None:
            self.person.retry(refused)

    def action_discard(self) -> None:
        if (refused := self._chat.refused) is not None:
            self.person.discard(refused)

    def action_leave(self) -> None:
        """Asks again where something would be lost."""
        unsent = len(self.person.device.outbox)
        if not unsent or self._was_warned:
            self.exit()
            return
        self._was_warned = True
        self._tell(f"{unsent} not sent yet. Ctrl+Q once more gives them up.")

    def check_action(
        self,
        action: str,
        parameters: tuple[object, ...],  # noqa: ARG002 - textual's
    ) -> bool | None:
        """Keys are shown where they do something."""
        if action in ("retry", "discard"):
            return self._chat.refused is not None
        if action == "connect":
            return self.person.device.state.name in ("waiting", "stopped")
        return True
