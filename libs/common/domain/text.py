"""What a message may contain (DESIGN.md, section 4)."""

MAX_CONTENT_CHARACTERS = 4_000


class InvalidContent(ValueError):
    """The text can't be a message; `reason` is the error constant the client gets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def clean_content(text: str) -> str:
    """The text without surrounding white space, 1 to 4,000 characters (code points).

    Raises InvalidContent: CONTENT_EMPTY, CONTENT_TOO_LONG, or CONTENT_NOT_STORABLE for U+0000,
    which PostgreSQL's text can't hold, and lone surrogates, which are not UTF-8.
    """
    content = text.strip()
    if not content:
        raise InvalidContent("CONTENT_EMPTY")
    if len(content) > MAX_CONTENT_CHARACTERS:
        raise InvalidContent("CONTENT_TOO_LONG")
    if "\0" in content:
        raise InvalidContent("CONTENT_NOT_STORABLE")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise InvalidContent("CONTENT_NOT_STORABLE") from None
    return content
