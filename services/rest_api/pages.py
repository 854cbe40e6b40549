"""Where a page starts and how long it is: query parameters and cursors."""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import falcon
import msgspec

from libs.common.domain.text import MOST_MARKS, InvalidContent, normalized
from services.rest_api.asked import MOST_CHARACTERS, Alternative, NotSearchable, alternatives
from services.rest_api.problems import Problem

LIMIT_DEFAULT: Final = 50
LIMIT_MOST: Final = 100
SEQ_MOST: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR: Final = struct.Struct(">q16s")


class Place(NamedTuple):
    """In a list that is ordered by time: of messages, of conversations by their last activity."""

    at: datetime
    id: UUID


NEWEST: Final = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
"""Before all others."""
BEFORE_ALL_IDS: Final = UUID(int=0)
"""With it a place stands behind all of its time."""


def cursor_of(place: Place) -> str:
    """Opaque to clients: the page after `place`."""
    microseconds = (place.at - _EPOCH) // _MICROSECOND
    return urlsafe_b64encode(_CURSOR.pack(microseconds, place.id.bytes)).decode()


def place_of(cursor: str) -> Place:
    """The inverse. Raises Problem for what isn't a cursor of ours."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii"))
        microseconds, raw_id = _CURSOR.unpack(raw)
        return Place(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=raw_id))
    except (UnicodeEncodeError, binascii.Error, struct.error, OverflowError):
        raise Problem("INVALID_FIELD", "cursor is not one that a page gave.") from None


def place_in(request: falcon.Request) -> Place:
    """`cursor`; NEWEST if absent. Raises Problem."""
    cursor = request.get_param("cursor")
    return NEWEST if cursor is None else place_of(cursor)


def limit_in(request: falcon.Request) -> int:
    """`limit`, 1 to 100, 50 if absent. Raises Problem."""
    limit = number_in(request, "limit", least=1, most=LIMIT_MOST)
    return LIMIT_DEFAULT if limit is None else limit


def number_in(request: falcon.Request, name: str, *, least: int, most: int) -> int | None:
    """A query parameter in decimal digits; None if absent. Raises Problem."""
    text = request.get_param(name)
    if text is None:
        return None
    # int() would also take signs, spaces, underscores and other scripts' digits.
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise Problem("INVALID_FIELD", f"{name} must be a whole number from {least} to {most}.")


def flag_in(request: falcon.Request, name: str) -> bool | None:
    """A query parameter that is `true` or `false`; None if absent. Raises Problem."""
    text = request.get_param(name)
    if text is None:
        return None
    if text not in ("true", "false"):
        raise Problem("INVALID_FIELD", f"{name} must be true or false.")
    return text == "true"


def time_in(request: falcon.Request, name: str) -> datetime | None:
    """A query parameter in RFC 3339; None if absent. Raises Problem."""
    text = request.get_param(name)
    if text is None:
        return None
    try:
        # msgspec takes no other form of ISO 8601. A `+` that nobody has quoted came as a space.
        time = msgspec.convert(text.replace(" ", "+"), datetime)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        pass
    raise Problem("INVALID_FIELD", f"{name} must be a time such as 2025-01-31T12:00:00Z.")


def id_in(request: falcon.Request, name: str) -> UUID | None:
    """A query parameter that is a UUID; None if absent. Raises Problem."""
    text = request.get_param(name)
    return None if text is None else uuid_in(text, name)


def asked_in(request: falcon.Request) -> tuple[Alternative, ...] | None:
    """`q`, in the form in which messages are kept; None if absent. Raises Problem."""
    text = request.get_param("q")
    if text is None:
        return None
    if len(text) > MOST_CHARACTERS:
        raise Problem("INVALID_FIELD", f"q is longer than {MOST_CHARACTERS} characters.")
    if "\0" in text:
        raise Problem("INVALID_FIELD", "q holds U+0000.")
    try:
        return alternatives(normalized(text))
    except InvalidContent:
        raise Problem(
            "INVALID_FIELD", f"q holds more than {MOST_MARKS} combining marks in a row."
        ) from None
    except NotSearchable as reason:
        raise Problem("INVALID_FIELD", str(reason)) from None


def uuid_in(text: str, name: str) -> UUID:
    """An id in an address or a query. Raises Problem."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise Problem("INVALID_FIELD", f"{name} must be a UUID.") from None
