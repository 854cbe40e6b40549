"""One partition's router over model servers, with all the places where it can die."""

from collections.abc import Coroutine, Sequence
from enum import Enum, auto
from typing import Any, TypeVar, cast
from uuid import UUID

from libs.common.asking import Asking
from libs.common.domain.moment import rfc3339
from libs.common.domain.permit import Permit
from libs.common.protocol import frames, writes
from libs.common.protocol.events import Event
from libs.common.protocol.replies import ConversationReady, Done, Refused, Reply
from services.router.conversation import ENTRY_MOST
from services.router.deciding import Permits, decide, new_messages
from services.router.fan_out import fan_out
from services.router.memory import Memory
from services.router.rules.decisions import Announcement, Answered, Decisions
from services.router.sequence import News
from services.router.store import Store
from tests.unit.model.devices import Gateway
from tests.unit.model.expected import Outcome
from tests.unit.model.tables import ModelStore, Tables

T = TypeVar("T")

CAPACITY = 1
"""Conversations that a router remembers: with two it forgets all the time."""


class Death(Enum):
    """Where a router dies within a batch."""

    DECIDED = auto()
    WRITING = auto()
    WRITTEN = auto()
    PUBLISHED = auto()
    TELLING = auto()
    TOLD = auto()


class Servers:
    """What outlives a router: queues, PostgreSQL, Redis and the gateways."""

    def __init__(self) -> None:
        self.queue: list[tuple[Event, Outcome]] = []
        """Not acknowledged."""
        self.delivered = 0
        """So many of them some router has had."""
        self.log = Tables()
        """With all writes that were confirmed: the truth."""
        self.stored = Tables()
        """With those that the persister has stored."""
        self.unstored: list[writes.Entry] = []
        self.untold: set[tuple[UUID, int]] = set()
        """Entries that no router has told all gateways, by conversation and number."""
        self.heads: dict[tuple[UUID, UUID], tuple[int, bool]] = {}
        """By user and conversation; and whether archived."""
        self.counts: dict[tuple[UUID, UUID], tuple[int, int]] = {}
        """By user and conversation: head and number of unread messages."""
        self.gateways: dict[str, Gateway] = {}
        self.limited: set[tuple[UUID, UUID]] = set()
        """Sender and identity of messages that the rate limit refuses."""
        self.tried: dict[UUID, tuple[UUID, int]] = {}
        """By try: its session, and its place among all tries."""
        self._newest_try: dict[UUID, int] = {}
        self._permitted_at = 0

    def confirm(self, write: writes.Entry) -> None:
        """The broker has it. Every promise about the log is checked here."""
        row = self.log.conversations.get(write.conversation_id)
        assert write.seq == (row.head + 1 if row else 1), "dense (promise 3)"
        if row is not None:
            self._check(write, row.users)
        self.log.apply(write)
        self.unstored.append(write)
        self.untold.add((write.conversation_id, write.seq))
        for conversation_id, row in self.log.conversations.items():
            for mark, user_id in zip(row.marks, row.users, strict=True):
                unread = [
                    message.seq
                    for message in self.log.of(conversation_id)
                    if message.sender_id != user_id and message.is_unread
                ]
                assert mark < min(unread, default=mark + 1), "nothing unread before the mark"

    def _check(self, write: writes.Entry, users: Sequence[UUID]) -> None:
        row = self.log.conversations[write.conversation_id]
        match write:
            case writes.InsertMessage():
                assert write.sender_id in users
                assert row.archived_at is None, "an archived conversation takes no message"
                assert all(
                    (message.sender_id, message.identity)
                    != (write.sender_id, write.client_message_id or write.message_id)
                    for message in self.log.of(write.conversation_id)
                ), "once (promise 4)"
                session_id, place = self.tried[write.message_id]
                assert place > self._newest_try.get(session_id, -1), "in the order of its session"
                self._newest_try[session_id] = place
            case writes.MarkDelivered() | writes.MarkRead():
                assert 0 < len(set(write.message_ids)) == len(write.message_ids) <= most()
                for message in (self.log.messages[key].state for key in write.message_ids):
                    assert message.deleted_at is None
                    is_reading = isinstance(write, writes.MarkRead)
                    assert message.status < (3 if is_reading else 2), "only rises (promise 7)"
            case writes.DeleteContent():
                message = self.log.messages[write.message_id].state
                assert message.deleted_at is None
                assert message.sender_id == write.actor_id
            case writes.ArchiveConversation():
                assert row.archived_at is None
            case _:
                raise AssertionError("one birth")

    def is_overtaken(self, conversation_id: UUID, seq: int) -> bool:
        """Whether later entries have changed all that this one had: then it needs no telling."""
        write = self.log.entries[conversation_id, seq]
        match write:
            case writes.InsertMessage():
                return self.log.messages[write.message_id].state.deleted_at is not None
            case writes.MarkDelivered() | writes.MarkRead():
                messages = [self.log.messages[key].state for key in write.message_ids]
                return all(message.changed_seq > seq for message in messages)
            case _:
                return False

    def persist(self, count: int) -> None:
        for write in self.unstored[:count]:
            self.stored.apply(write)
        del self.unstored[:count]

    async def ask_barrier(self, partition: int) -> None:
        self.persist(len(self.unstored))

    def publish(self, news: News) -> dict[UUID, dict[UUID, str]]:
        """As the scripts of `router.sequence` do; returns who listens."""
        for user_id, parts in news.counts().items():
            for conversation_id, at, count in zip(
                parts[::3], parts[1::3], parts[2::3], strict=True
            ):
                place = (user_id, UUID(conversation_id))
                if self.counts.get(place, (0, 0))[0] <= int(at):
                    self.counts[place] = (int(at), int(count))
        for user_id, parts in news.heads().items():
            for conversation_id, head in zip(parts[::2], parts[1::2], strict=True):
                place = (user_id, UUID(conversation_id))
                new = (int(head.rstrip("!")), head.endswith("!"))
                if self.heads.get(place, (0, False))[0] < new[0]:
                    self.heads[place] = new
        return {user_id: self._listeners(user_id) for user_id in news.listeners}

    def _listeners(self, user_id: UUID) -> dict[UUID, str]:
        return {
            device.session_id: name
            for name, gateway in self.gateways.items()
            for device in gateway.devices
            if device.user_id == user_id
        }

    def permits(self, events: Sequence[Event], memory: Memory) -> Permits:
        """As `Steps.permits`; a later time at each asking."""
        found: dict[tuple[UUID, UUID, UUID], Permit] = {}
        for sender_id, sends in new_messages(events, memory).items():
            for conversation_id, identity in sends:
                self._permitted_at += 1
                is_limited = (sender_id, identity) in self.limited
                permit = Permit(None, 7) if is_limited else Permit(self._permitted_at)
                found[sender_id, conversation_id, identity] = permit
        return found


def most() -> int:
    return ENTRY_MOST


class Router:
    """From its takeover to its death."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        store = cast("Store", ModelStore(servers.stored))
        self.memory = Memory(store, cast("Asking", servers), 0, CAPACITY)
        self._taken = 0
        self._finishing: tuple[int, Decisions, dict[UUID, dict[UUID, str]]] | None = None

    @property
    def is_idle(self) -> bool:
        return self._finishing is None and self._taken == len(self._servers.queue)

    def process(self, count: int, death: Death | None, reached: Sequence[bool]) -> bool:
        """Whether it survives. `reached`: which write, or gateway, the death came after."""
        servers = self._servers
        batch = servers.queue[self._taken : self._taken + count]
        self._taken += len(batch)
        events = [event for event, _ in batch]
        start = self._taken - len(batch)
        again = events[: max(0, servers.delivered - start)]
        self.memory.take_in(at_once(self.memory.load(events, again)))
        servers.delivered = max(servers.delivered, self._taken)
        permits = servers.permits(events, self.memory)
        decided = self._decide(batch, permits)
        if death is Death.DECIDED:
            return False
        cut = sum(reached) if death is Death.WRITING else len(decided.writes)
        for write in decided.writes[:cut]:
            servers.confirm(write)
        if death in (Death.WRITING, Death.WRITTEN):
            return False
        listeners = self._publish(decided)
        if death is Death.PUBLISHED:
            return False
        self.finish()
        self._finishing = (len(batch), decided, listeners)
        self.memory.trim(decided.changed.values())
        if death in (Death.TELLING, Death.TOLD):
            names = (
                servers.gateways
                if death is Death.TOLD
                else dict(zip(servers.gateways, reached, strict=False))
            )
            self._tell(decided, listeners, [name for name in names if names[name]])
            return False
        return True

    def finish(self) -> None:
        """Gateways and askers are told; then the batch is acknowledged."""
        if self._finishing is None:
            return
        count, decided, listeners = self._finishing
        self._finishing = None
        self._tell(decided, listeners, list(self._servers.gateways))
        for entry in decided.announcements:
            self._servers.untold.discard((entry.conversation_id, entry.seq))
        del self._servers.queue[:count]
        self._taken -= count
        self._servers.delivered -= count

    def _decide(self, batch: Sequence[tuple[Event, Outcome]], permits: Permits) -> Decisions:
        """`deciding.decide`, one by one, to see what comes of each."""
        whole = Decisions()
        for event, outcome in batch:
            decided, poisonous = decide([event], self.memory, permits)
            assert not poisonous
            self._check(event, outcome, decided)
            whole.writes += decided.writes
            whole.notices += decided.notices
            whole.replies += decided.replies
            whole.changed |= decided.changed
            whole.recounted |= decided.recounted
            whole.deleted |= decided.deleted
        return whole

    def _check(self, event: Event, outcome: Outcome, decided: Decisions) -> None:
        errors = [a.frame.error for a in decided.answers if isinstance(a.frame, frames.Error)]
        errors += [reply.error for _, reply in decided.replies if isinstance(reply, Refused)]
        if outcome.error == "RATE_LIMITED" and errors == ["CONVERSATION_ARCHIVED"]:
            pass  # refused again, after a death, in a conversation that was archived meanwhile
        else:
            assert errors == ([outcome.error] if outcome.error else [])
        if outcome.error:
            assert len(decided.notices) + len(decided.replies) == 1, "only the asker is told"
            changes = (decided.writes, decided.changed, decided.recounted, decided.deleted)
            assert not any(changes), "a refused event changes nothing"
        for answer in decided.answers:
            if isinstance(answer.frame, frames.MessageSent):
                assert answer.frame.message_id == outcome.message_id
        for _, reply in decided.replies:
            self._check_reply(reply, outcome)
        known = {
            key
            for key, row in self._servers.log.messages.items()
            if row.state.deleted_at is not None
        }
        for notice in decided.announcements:
            if isinstance(notice.frame, frames.MessageReceived):
                assert notice.frame.message_id not in known, "deleted content is never told again"

    def _check_reply(self, reply: Reply, outcome: Outcome) -> None:
        if isinstance(reply, ConversationReady):
            assert (reply.conversation_id, reply.created) == (
                outcome.conversation_id,
                outcome.created,
            )
        elif isinstance(reply, Done):
            assert outcome.conversation_id is None

    def _publish(self, decided: Decisions) -> dict[UUID, dict[UUID, str]]:
        """As `Steps.publish`."""
        entries = decided.announcements
        ids = {entry.conversation_id for entry in entries}
        told = [known for known in map(self.memory.conversation, ids) if known is not None]
        users = list({entry.user_id for entry in entries})
        return self._servers.publish(News(0, told, decided.recounted, decided.deleted, users))

    def _tell(
        self, decided: Decisions, listeners: dict[UUID, dict[UUID, str]], names: Sequence[str]
    ) -> None:
        for notice in decided.notices:
            self._check_notice(notice)
        batches = fan_out(decided.notices, listeners)
        for name in names:
            for delivery in batches.get(name, []):
                self._servers.gateways[name].receive(delivery)

    def _check_notice(self, notice: Announcement | Answered) -> None:
        """What is told is in the log, under this number (promise 2), and of its users alone."""
        frame, log = notice.frame, self._servers.log
        if isinstance(notice, Announcement):
            assert notice.user_id in log.conversations[notice.conversation_id].users
            assert isinstance(frame, ENTRIES)
            assert (notice.conversation_id, notice.seq) == (frame.conversation_id, frame.seq)
            check_entry(frame, log)
        elif isinstance(frame, frames.MessageSent):
            row = log.messages[frame.message_id]
            told = (row.conversation_id, row.state.seq, rfc3339(row.state.created_at))
            assert told == (frame.conversation_id, frame.seq, frame.timestamp)
            assert row.state.client_message_id == frame.client_message_id
        elif isinstance(frame, frames.MessageRead) and frame.message_ids:
            check_entry(frame, log)


ENTRIES = (
    frames.MessageReceived,
    frames.MessageDelivered,
    frames.MessageRead,
    frames.MessageDeleted,
    frames.ConversationCreated,
    frames.ConversationArchived,
)


def check_entry(frame: Any, log: Tables) -> None:
    write: Any = log.entries[frame.conversation_id, frame.seq]
    match frame:
        case frames.MessageReceived():
            assert isinstance(write, writes.InsertMessage)
            assert (frame.message_id, frame.sender_id, frame.content, frame.timestamp) == (
                write.message_id,
                write.sender_id,
                write.content,
                rfc3339(write.created_at),
            )
        case frames.MessageDelivered():
            assert isinstance(write, writes.MarkDelivered)
            assert frame.delivered_at == rfc3339(write.delivered_at)
            check_ids(frame, write)
        case frames.MessageRead():
            assert isinstance(write, writes.MarkRead)
            assert frame.read_at == rfc3339(write.read_at)
            check_ids(frame, write)
        case frames.MessageDeleted():
            assert isinstance(write, writes.DeleteContent)
            assert (frame.message_id, frame.deleted_at) == (
                write.message_id,
                rfc3339(write.deleted_at),
            )
        case frames.ConversationCreated():
            assert isinstance(write, writes.InsertConversation)
            assert set(frame.user_ids) == {write.user1_id, write.user2_id}
        case frames.ConversationArchived():
            assert isinstance(write, writes.ArchiveConversation)
            assert frame.archived_at == rfc3339(write.archived_at)


def check_ids(frame: Any, write: Any) -> None:
    """Told again, an entry may lack what a later one has overtaken."""
    assert frame.message_ids, "an entry changes something"
    assert [key for key in write.message_ids if key in frame.message_ids] == frame.message_ids
    assert frame.message_id == frame.message_ids[-1]


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Its result: no model server makes anybody wait."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return cast("T", stopped.value)
    raise AssertionError("it waits")
