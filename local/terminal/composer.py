"""Where a message is written. Enter sends, Ctrl+J makes a line."""

from typing import Final

from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from libs.common.domain.text import MAX_CONTENT_CHARACTERS

SHOWN_LEFT: Final = 200
"""From here on it is shown how many characters are left."""
NEW_LINE: Final = ("ctrl+j", "shift+enter", "alt+enter")
"""Most terminals send the same for Enter with and without Shift."""


class Composer(TextArea):
    """Grows with what is written, up to the style's most."""

    class Sent(Message):
        """Enter was pressed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            if self.text.strip():
                self.post_message(self.Sent(self.text))
        elif event.key in NEW_LINE:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        else:
            await super()._on_key(event)

    def on_text_area_changed(self) -> None:
        left = MAX_CONTENT_CHARACTERS - len(self.text.strip())
        self.border_subtitle = f"{left} characters left" if left < SHOWN_LEFT else ""
