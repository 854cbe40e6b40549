"""What happens when PostgreSQL does not take a batch: the one place for these rules.

- It blames the data: the batch is halved, in order, each half in a transaction of its own, until
  the bad write is alone. That one is dead, the rest is stored (promise 9).
- A unique constraint is in the way of some writes: they are dead or amended, the rest is stored.
- Anything else (away, restarting, full, deadlock, time-out, a fault of the deployment such as a
  missing table): the same batch again, without end. Nothing is lost; the queues hold what comes.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import asyncpg
import stamina
from msgspec.structs import asdict

from libs.common.protocol.writes import Entry, InsertConversation, InsertMessage

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 2.0

# Data exception, integrity constraint violation, WITH CHECK OPTION violation, program limit
# exceeded (an index row too big), raised by a trigger.
_GUILTY_CLASSES: Final = frozenset({"22", "23", "44", "54", "P0"})


Insert = InsertConversation | InsertMessage


class Dead(NamedTuple):
    """A write that can't be stored, and why: for `chat.dead`."""

    entry: Entry
    reason: str


class Conflicts(Exception):
    """Nothing of the batch was stored, as unique constraints are in the way of these writes."""

    def __init__(
        self, refused: Mapping[Insert, str], amended: Mapping[InsertMessage, InsertMessage]
    ) -> None:
        super().__init__(f"{len(refused)} refused, {len(amended)} amended")
        self.refused = refused
        """With the reason for each."""
        self.amended = amended
        """What to store instead."""


Write = Callable[[Sequence[Entry]], Awaitable[list[Dead]]]
"""Stores a batch in one transaction. Raises Conflicts, and what the driver raises."""


async def store(entries: Sequence[Entry], write: Write) -> list[Dead]:
    """Returns when every entry is stored or among the dead that are returned."""
    if not entries:
        return []
    try:
        return await _until_answered(entries, write)
    except Conflicts as conflicts:
        return await _store_without(entries, conflicts, write)
    except asyncpg.PostgresError as error:
        if len(entries) == 1:
            return [Dead(entries[0], _reason(error))]
    half = len(entries) // 2
    return await store(entries[:half], write) + await store(entries[half:], write)


def blames_the_data(error: BaseException) -> bool:
    """Whether the same rows would fail again, and others in their place would not."""
    return (
        isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in _GUILTY_CLASSES
    )


def _can_pass(error: Exception) -> bool:
    # stamina asks about a cancellation too, whatever its types say: that must go through.
    is_error = isinstance(error, Exception)
    return is_error and not (isinstance(error, Conflicts) or blames_the_data(error))


async def _until_answered(entries: Sequence[Entry], write: Write) -> list[Dead]:
    attempts = stamina.retry_context(
        on=_can_pass,
        attempts=None,
        timeout=None,
        wait_initial=RETRY_FIRST_S,
        wait_max=RETRY_MOST_S,
        wait_jitter=RETRY_FIRST_S,
    )
    async for attempt in attempts:
        with attempt:
            return await write(entries)
    raise AssertionError("retry_context ends by returning or raising")


async def _store_without(
    entries: Sequence[Entry], conflicts: Conflicts, write: Write
) -> list[Dead]:
    dead: list[Dead] = []
    kept: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Insert) and entry in conflicts.refused:
            dead.append(Dead(entry, conflicts.refused[entry]))
        elif isinstance(entry, InsertMessage):
            kept.append(conflicts.amended.get(entry, entry))
        else:
            kept.append(entry)
    return dead + await store(kept, write)


def ids_of(entry: Entry) -> dict[str, object]:
    """What a log line says about an entry: every id and number, never the content."""
    return {name: value for name, value in asdict(entry).items() if name != "content"}


def _reason(error: asyncpg.PostgresError) -> str:
    """Never the content: a server's first line names no value, but the driver's own would."""
    if error.severity is None:
        return f"{error.sqlstate}: a value does not fit its column's type"
    return f"{error.sqlstate}: {error}".splitlines()[0]
