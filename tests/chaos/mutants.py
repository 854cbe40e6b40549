"""Systems that are wrong on purpose: the checker must turn red at each (see `extra`).

`python -m tests.chaos.mutants NAME COMMAND…` replaces one thing in one role, by its name, and then
runs the role's own command in this process: so the product has no hooks for it. When the name is
gone from the product the process ends at its start, and the mutant's test with it.
"""

import asyncio
import itertools
import pkgutil
import runpy
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from libs.common.domain.status import Status
from libs.common.keys import SEQ
from libs.common.protocol.codec import WRITES
from libs.common.protocol.events import Delivered, Event, Send
from libs.common.protocol.writes import Entry, InsertMessage
from libs.common.topology import writes
from local.roles import GATEWAY, PERSISTER, REST, ROUTER, Role

WINDOW_S: Final = 0.2
"""From a promise to its keeping where it is given too early: a SIGKILL must fall in between."""
ONE_IN: Final = 1_000

Make = Callable[[Any], Any]
"""What to put in the place of what is there."""


class Mutant(NamedTuple):
    role: Role
    owner: str
    """A module, or `module:class`."""
    name: str
    """What is replaced in it."""
    make: Make


MUTANTS: Final[dict[str, Mutant]] = {}


def _mutant(role: Role, owner: str, name: str) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        MUTANTS[make.__name__] = Mutant(role, owner, name, make)
        return make

    return register


# --------------------------------------------------------------------------- kept, and once


@_mutant(ROUTER, "services.router.steps:Steps", "keep")
def acknowledge_before_confirm(_: Any) -> Any:
    """Tells the users, and acknowledges the events, while the writes are yet to be published."""

    async def keep(self: Any, decided: Any) -> None:
        if decided.writes:
            await self._claim(decided.changed.values())
            _later(_publish(self._channel, writes(self._partition).name, decided.writes))

    return keep


async def _publish(channel: Any, queue: str, entries: Sequence[Entry]) -> None:
    await asyncio.sleep(WINDOW_S)
    for body in WRITES.encode_parts(entries):
        await channel.publish(queue, body, lasting=True)


def _later(work: Coroutine[Any, Any, None], tasks: set[Any] = set()) -> None:  # noqa: B006
    """In a task that is kept as long as it runs."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


@_mutant(PERSISTER, "services.persister.flusher:Flusher", "_flush")
def acknowledge_before_stored(flush: Any) -> Any:
    """Acknowledges writes while they are yet to be stored."""

    async def acknowledge_first(self: Any, parcels: Any) -> None:
        await type(self)._acknowledge(self, parcels)
        self._acknowledge = _nothing
        await asyncio.sleep(WINDOW_S)
        await flush(self, parcels)

    return acknowledge_first


async def _nothing(_: Any) -> None:
    pass


@_mutant(PERSISTER, "services.persister.store", "_insert_messages")
def drop_one_row_in_1000(insert: Any) -> Any:
    """Doesn't store one message in `ONE_IN`."""
    numbers = itertools.count(1)

    async def leaky(connection: Any, rows: list[Any]) -> Any:
        return await insert(connection, [row for row in rows if next(numbers) % ONE_IN])

    return leaky


@_mutant(ROUTER, "services.router.rules.sending", "_known")
def double_on_redelivery(_: Any) -> Any:
    """Takes every further try of a message for a new one."""
    return lambda event, conversation: None


# --------------------------------------------------------------------------- one order


@_mutant(ROUTER, "services.router.worker", "decide")
def swap_two(decide: Any) -> Any:
    """Once, two messages that a session sent one after the other change places."""
    once = _once()

    def swapped(happened: Sequence[Event], *rest: Any) -> Any:
        events = list(happened)
        for place, (one, other) in enumerate(itertools.pairwise(happened)):
            if _are_neighbours(one, other) and next(once):
                events[place : place + 2] = [other, one]
        return decide(events, *rest)

    return swapped


def _are_neighbours(one: Event, other: Event) -> bool:
    return (
        isinstance(one, Send)
        and isinstance(other, Send)
        and one.session_id == other.session_id
        and one.conversation_id == other.conversation_id
        and one.identity != other.identity
    )


@_mutant(PERSISTER, "services.persister.store", "fold")
def exchange_two_contents(fold: Any) -> Any:
    """Once, two messages are stored each with the content of the other."""
    once = _once()

    def exchanged(entries: Sequence[Entry]) -> Any:
        changed = list(entries)
        messages = [
            (place, entry)
            for place, entry in enumerate(entries)
            if isinstance(entry, InsertMessage)
        ]
        if len(messages) > 1 and next(once):
            (one, left), (other, right) = messages[:2]
            changed[one] = replace(left, content=right.content)
            changed[other] = replace(right, content=left.content)
        return fold(changed)

    return exchanged


@_mutant(ROUTER, "services.router.rules.sending", "_append")
def gap_in_seq(append: Any) -> Any:
    """Once, a number is left out."""
    once = _once()

    def skipping(event: Send, conversation: Any, *rest: Any) -> Any:
        conversation.head += next(once)
        return append(event, conversation, *rest)

    return skipping


@_mutant(ROUTER, "services.router.worker:Worker", "_process")
def flushall_trusted(process: Any) -> Any:
    """Takes Redis for the truth: where it has no number of a conversation, they begin anew."""

    async def trusting(self: Any, arrivals: Any) -> None:
        ids = {arrival.event.conversation_id for arrival in arrivals}
        known = [one for one in map(self._memory.conversation, ids) if one and one.claimed]
        batch = self._around.cache.batch()
        for conversation in known:
            batch.add("GET", SEQ(conversation.conversation_id))
        for conversation, number in zip(known, await batch.run(), strict=True):
            if number is None:
                conversation.head = conversation.claimed = 0
        await process(self, arrivals)

    return trusting


def _once() -> Iterator[bool]:
    """True for the first who asks, False for all others."""
    return itertools.chain([True], itertools.repeat(False))


# --------------------------------------------------------------------------- status, and counts


@_mutant(GATEWAY, "services.ws_gateway.session:Session", "_deliver")
def delivered_at_write(deliver: Any) -> Any:
    """Says that a message is delivered when it is written, whether or not anybody reads it."""
    effect: Any = pkgutil.resolve_name("services.ws_gateway.effects:Publish")

    def hasty(self: Any, frame: bytes, conversation_id: Any, message_ids: Any) -> Any:
        effects = deliver(self, frame, conversation_id, message_ids)
        if not effects or not message_ids:
            return effects
        now = int(time.time() * 1000)
        return (*effects, effect(Delivered(conversation_id, self.user_id, [*message_ids], now)))

    return hasty


@_mutant(ROUTER, "services.router.rules", "delivered")
def status_falls(delivered: Any) -> Any:
    """A message that is READ becomes DELIVERED when another device's receipt comes later."""

    def falling(event: Delivered, conversation: Any, decided: Any) -> None:
        for message in filter(None, map(conversation.message, event.message_ids)):
            if message.status is Status.READ:
                message.status = Status.SENT
        delivered(event, conversation, decided)

    return falling


@_mutant(ROUTER, "services.router.rules.receipts", "_read")
def unread_never_decremented(read: Any) -> Any:
    """Reading leaves the count of unread messages as it is."""

    def forgetful(event: Any, conversation: Any, *rest: Any, **named: Any) -> Any:
        before = list(conversation.unread)
        seq = read(event, conversation, *rest, **named)
        conversation.unread[:] = before
        return seq

    return forgetful


# --------------------------------------------------------------------------- reading again


@_mutant(ROUTER, "services.router.store:Store", "changed_after")
def sync_without_changes(changed_after: Any) -> Any:
    """SYNC tells what was written since, not what has become of older messages."""

    async def created_after(self: Any, conversation_id: Any, after_seq: int, *rest: Any) -> Any:
        messages = await changed_after(self, conversation_id, after_seq, *rest)
        return [message for message in messages if message.seq > after_seq]

    return created_after


@_mutant(REST, "services.rest_api.recent", "_is_of")
def stale_copy(_: Any) -> Any:
    """Answers from the copy in Redis, however old it is."""
    return lambda head, told: True


@_mutant(PERSISTER, "services.persister.store", "SQL")
def deleted_content_stays(statements: Any) -> Any:
    """A deleted message keeps its content in PostgreSQL."""
    kept = statements["delete_contents"].replace("content = NULL,", "")
    assert kept != statements["delete_contents"]
    return statements | {"delete_contents": kept}


def main(name: str, command: Sequence[str]) -> None:
    """Runs a role's command, such as `-m services.router`, as that mutant."""
    mutant = MUTANTS[name]
    owner = pkgutil.resolve_name(mutant.owner)
    setattr(owner, mutant.name, mutant.make(getattr(owner, mutant.name)))
    sys.argv = [word for word in command if word != "-m"]
    if command[0] == "-m":
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
