"""Where a page starts and how long it is: query parameters and cursors."""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import falcon
import msgspec

from services.rest_api.problems import Problem

LIMIT_DEFAULT: Final = 50
LIMIT_MOST: Final = 100
SEQ_MOST: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR: Final = struct.Struct(">q16s")


class Activity(NamedTuple):
    """A place in a list of conversations that is ordered by last activity."""

    at: datetime
    conversation_id: UUID


NEWEST: Final = Activity(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
"""Before all conversations."""


def cursor_of(place: Activity) -> str:
    """Opaque to clients: the page after `place`."""
    microseconds = (place.at - _EPOCH) // _MICROSECOND
    return urlsafe_b64encode(_CURSOR.pack(microseconds, place.conversation_id.bytes)).decode()


def place_of(cursor: str) -> Activity:
    """The inverse. Raises Problem for what isn't a cursor of ours."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii"))
        microseconds, conversation_id = _CURSOR.unpack(raw)
        return Activity(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=conversation_id))
    except (UnicodeEncodeError, binascii.Error, struct.error, OverflowError):
        raise Problem("INVALID_FIELD", "cursor is not one that a page gave.") from None


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


def uuid_in(text: str, name: str) -> UUID:
    """An id in an address. Raises Problem."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise Problem("INVALID_FIELD", f"{name} must be a UUID.") from None
