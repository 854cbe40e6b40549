"""What a message may contain (DESIGN.md, section 4), and its one form in which it is kept."""

import re
import unicodedata
from typing import Final

MAX_CONTENT_CHARACTERS = 4_000
MOST_MARKS: Final = 30
"""In a row, as in UAX #15's stream-safe format: more than any language needs. CPython takes time by
the square of their number to put them in order (its issue 149079)."""
_RAW_MOST: Final = 4 * MAX_CONTENT_CHARACTERS
"""As it came: NFC makes one character of four at most (UAX #15). Counted first, as it is cheap."""

_MARKS: Final = frozenset(
    one for one in map(chr, range(0x300, 0x20000)) if unicodedata.combining(one)
) | set("\u0f73\u0f75\u0f81")
"""What follows another character (combining class other than 0), or is decomposed into such."""
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
    CONTENT_TOO_LONG, or CONTENT_NOT_STORABLE for U+0000, which PostgreSQL's text can't hold,
    lone surrogates, which are not UTF-8, and more than MOST_MARKS combining marks in a row.
    """
    if not _is_storable(text):
        raise InvalidContent("CONTENT_NOT_STORABLE")
    if len(text.strip()) > _RAW_MOST:
        raise InvalidContent("CONTENT_TOO_LONG")
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

    Raises InvalidContent: CONTENT_NOT_STORABLE for more than MOST_MARKS combining marks in a row.
    """
    if text.isascii() and text.isprintable():
        return text
    seen = _CONTROLS.sub("", text)
    if not _is_towering(seen):  # Before, as it could take a second.
        form = unicodedata.normalize("NFC", seen)
        if form == seen or not _is_towering(form):  # After, as NFC makes two marks of some.
            return form
    raise InvalidContent("CONTENT_NOT_STORABLE")


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_towering(text: str) -> bool:
    """Whether more than MOST_MARKS marks follow each other.

    So many cover one of these places, whatever they begin with: few texts are looked through.
    """
    step = MOST_MARKS + 1
    if _MARKS.isdisjoint(text[MOST_MARKS::step]):
        return False
    return b"\1" * step in bytes(map(_MARKS.__contains__, text))
