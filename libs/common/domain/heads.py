"""What the router's keys in Redis say about how far the logs have come (see `keys`). Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

COMPLETE: Final = b"*"
"""Field of HEADS and UNREAD: all of the user's conversations are in the hash."""
LOADING: Final = b"?"
"""Field of HEADS and UNREAD: the token of the router that is loading it."""
ARCHIVED: Final = b"!"
"""Behind the head of an archived conversation."""
COUNTED_AT: Final = "@"
"""Before a conversation in UNREAD: the field with the head at which its count was taken."""
WARM_MARK: Final = b"!"
"""Behind the token that WARM holds while the partition is warm. Without it, it is the token of a
router that is about to set it. Each token is used once: another one means that Redis was emptied.
"""


_DIGITS_MOST: Final = 18
"""A log as long as that would be older than the universe; PostgreSQL's bigint has room for it."""


def head_in(value: bytes) -> int:
    """The number in one field of HEADS. Raises ValueError for what isn't ours."""
    digits = value.rstrip(ARCHIVED)
    if not digits.isdigit() or len(digits) > _DIGITS_MOST:
        raise ValueError("no head")
    return int(digits)


def heads_in(fields: Mapping[bytes, bytes]) -> dict[UUID, int]:
    """Conversation → head in HEADS(user), of all that were told. Raises ValueError as `head_in`."""
    return {
        UUID(field.decode()): head_in(head)
        for field, head in fields.items()
        if field not in (COMPLETE, LOADING)
    }


class Told(NamedTuple):
    """What HEADS(user) says."""

    active: dict[UUID, int]
    """Conversation → head, of those that aren't archived."""
    is_complete: bool
    """Whether all of the user's conversations are there."""


NOTHING_TOLD: Final = Told({}, is_complete=False)


def told_in(fields: Mapping[bytes, bytes]) -> Told | None:
    """None: some of it can't be read. Then it is to be deleted, and loaded anew."""
    try:
        heads = heads_in(fields)
    except ValueError:
        return None
    archived = {field for field, head in fields.items() if head.endswith(ARCHIVED)}
    if archived:
        heads = {one: head for one, head in heads.items() if str(one).encode() not in archived}
    return Told(heads, COMPLETE in fields)


def is_warm(value: bytes | None) -> bool:
    """By WARM's value: whether a key that is missing proves something."""
    return value is not None and value.endswith(WARM_MARK)


def is_behind(told: int | None, stored: int | None, *, warm: bool) -> bool:
    """Whether a conversation's log may be longer than `stored`, PostgreSQL's head (None: no row).

    `told` and `warm` are Redis' head and word on the partition, read in this order, and both
    before `stored`: then nothing can be told, stored and lost in between unseen.
    """
    return not warm if told is None else told > (stored or 0)
