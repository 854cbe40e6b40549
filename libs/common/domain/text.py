"""What a message may contain (DESIGN.md, section 4), and its one form in which it is kept."""

import re
import unicodedata
from typing import Final

MAX_CONTENT_CHARACTERS = 4_000

_CONTROLS: Final = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
"""All of Unicode's category Cc but tab and newline, and U+0000, which is refused."""


class InvalidContent(ValueError):
    """The text can't be a message; `reason` is the error constant the client gets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def clean_content(text: str) -> str:
    """The text as it is kept: `normalized`, without surrounding white space, 1 to 4,000 characters.

    Those are code points, counted in what is kept. Raises InvalidContent: CONTENT_EMPTY,
    CONTENT_TOO_LONG, or CONTENT_NOT_STORABLE for U+0000, which PostgreSQL's text can't hold, and
    lone surrogates, which are not UTF-8.
    """
    if not _is_storable(text):
        raise InvalidContent("CONTENT_NOT_STORABLE")
    content = normalized(text).strip()
    if not content:
        raise InvalidContent("CONTENT_EMPTY")
    if len(content) > MAX_CONTENT_CHARACTERS:
        raise InvalidContent("CONTENT_TOO_LONG")
    return content


def normalized(text: str) -> str:
    """The text in Unicode's NFC, and without control characters but tab and newline.

    So what looks the same is the same, for a search too; and there is nothing that can't be seen
    and that a terminal obeys.

    What turns the direction of a text, and what has no width, stays: Arabic, Hebrew, Indic
    scripts and emoji need it. Who shows texts keeps each in its place.
    """
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
