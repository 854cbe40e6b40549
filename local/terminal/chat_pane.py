"""The open conversation: who the other is, what was said, and where one writes."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from libs.client.outbox import Item
from libs.common.domain.text import InvalidContent
from local.terminal import drawing
from local.terminal.blocks import Blocks
from local.terminal.composer import Composer
from local.terminal.conversation import Conversation
from local.terminal.lines import Line, Looking, lines_of
from local.terminal.names import name_of
from local.terminal.person import Person
from local.terminal.rows import presence_of

REASONS: Final = {
    "CONTENT_TOO_LONG": "This is longer than 4,000 characters.",
    "CONTENT_NOT_STORABLE": "This holds a character that can't be stored.",
}


class ChatPane(Vertical):
    """Shows what its person has open."""

    def __init__(self, person: Person, hint: Callable[[UUID], str]) -> None:
        super().__init__(id="chat")
        self._person = person
        self._hint = hint
        self._drafts: dict[UUID, str] = {}
        self._turned_to: UUID | None = None
        self._seen: tuple[Conversation, tuple[Item, ...], Looking] | None = None
        """What the messages show now."""

    def compose(self) -> ComposeResult:
        yield Static(id="other", markup=False)
        yield Static(id="nothing", markup=False)
        yield Blocks[Line](drawing.line, id="messages", is_log=True)
        yield Composer(placeholder="Write a message; Enter sends it")
        archived = "This conversation is archived. It can still be read."
        yield Static(archived, id="closed", markup=False)

    @property
    def messages(self) -> Blocks[Line]:
        return self.query_one("#messages", Blocks)

    def show(self, now: datetime, ticks: float) -> None:
        """As things are. `now` in the reader's time zone, `ticks` by the clock of `person`."""
        one = self._person.open
        self._show_parts(one)
        if one is None:
            self._turned_to = None
            self.query_one("#nothing", Static).update(self._instead())
            return
        title = f"{name_of(one.other_id)}  {presence_of(one, now, ticks)}"
        self.query_one("#other", Static).update(title)
        self._show_messages(one, now, ticks)
        if one.id != self._turned_to:
            self._turn_to(one)
        self._person.is_looking = self.app.app_focus and self.messages.is_at_end
        if self._person.is_looking:
            self._person.saw_end()

    def _show_parts(self, one: Conversation | None) -> None:
        is_archived = one is not None and one.is_archived
        for name in ("#other", "#messages"):
            self.query_one(name).display = one is not None
        self.query_one(Composer).display = one is not None and not is_archived
        self.query_one("#closed").display = is_archived
        self.query_one("#nothing").display = one is None

    def _show_messages(self, one: Conversation, now: datetime, ticks: float) -> None:
        looking = Looking(
            self._person.user_id,
            now.date(),
            divider=self._person.divider,
            is_typing=one.typing_until > ticks,
            hint=self._hint(one.other_id),
        )
        seen = (one, self._person.device.outbox, looking)
        if seen != self._seen:
            self._seen = seen
            self.messages.show(lines_of(*seen))

    def turn_anew(self) -> None:
        """It was chosen: its end is shown, and one may write, also if it was open before."""
        self._turned_to = None

    def _turn_to(self, one: Conversation) -> None:
        self._turned_to = one.id
        self.messages.to_end()
        composer = self.query_one(Composer)
        composer.text = self._drafts.get(one.id, "")
        composer.move_cursor(composer.document.end)
        (self.messages if one.is_archived else composer).focus()

    def _instead(self) -> str:
        if not self._person.is_listed:
            return "Loading the conversations…"
        return "Choose a conversation." if self._person.conversations else "No conversations yet."

    # ------------------------------------------------------------------ what the user does

    @on(Composer.Sent)
    def send(self, event: Composer.Sent) -> None:
        try:
            self._person.send(event.text)
        except InvalidContent as invalid:
            self.notify(REASONS[invalid.reason], markup=False)
            return
        self.query_one(Composer).text = ""
        self.messages.to_end()

    @on(TextArea.Changed)
    async def write(self, event: TextArea.Changed) -> None:
        """The draft is kept, and the other is told of it."""
        open_id, text = self._person.open_id, event.text_area.text
        if open_id is not None and text != self._drafts.get(open_id, ""):
            self._drafts[open_id] = text
            await self._person.typing(bool(text.strip()))

    @on(Blocks.NearBeginning)
    def load_older(self) -> None:
        if self.messages.is_near_beginning:
            self._person.load_older()

    @property
    def refused(self) -> UUID | None:
        """The selected message, if it was refused for good."""
        selected = self.messages.selected if self.messages.has_focus else None
        refused = (item.client_message_id for item in self._person.device.outbox if item.error)
        return next((one for one in refused if str(one) == selected), None)
