"""Two users with several devices against the router's rules, in any order, through any death.

A hypothesis state machine. Events are real; `Memory`, the rules, `decide`, `News` and `fan_out` are
the router's own. Servers, gateways and clients are those of `tests.unit.model`, which checks the
promises with each write and each frame. What ought to have come of it all says `expected`.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from libs.common.protocol.events import (
    ArchiveConversation,
    CreateConversation,
    DeleteMessage,
    Delivered,
    Event,
    MarkRead,
    Origin,
    RemoveMatch,
    ReplyTo,
    Send,
)
from services.router import conversation as router_conversation
from services.router.rules import receipts
from tests.unit.model import router as model
from tests.unit.model.devices import Device, Gateway
from tests.unit.model.expected import Expected, Outcome
from tests.unit.model.router import Death, Router, Servers
from tests.unit.model.tables import View

ANNA, BEN, EVE = (UUID(int=number) for number in (1, 2, 3))
MATCHES: Final = (UUID(int=11), UUID(int=12))
NOWHERE: Final = UUID(int=99)
"""Of a conversation, or a message, that there isn't."""

REMEMBERED: Final = 6
ENTRY_MOST: Final = 3

DEVICES: Final = ((ANNA, "g1"), (ANNA, "g1"), (ANNA, "g2"), (BEN, "g1"), (BEN, "g2"), (EVE, "g2"))
devices = st.integers(0, len(DEVICES) - 1)
mostly_users = st.sampled_from((*range(len(DEVICES) - 1),) * 3 + (len(DEVICES) - 1,))
picks = st.integers(0, 1_000)
numbers = st.none() | st.integers(0, 2)
deaths = st.sampled_from((None, *Death, Death.WRITING, Death.WRITTEN, Death.PUBLISHED))
reached = st.lists(st.booleans(), min_size=2, max_size=8)


class Chat(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._ids = itertools.count(1_000)
        self._now = 1
        self._servers = Servers()
        self._expected = Expected()
        self._router = Router(self._servers)
        self._is_sound = True
        self._has_died = False
        """Since all was quiet: then numbers may be missing, and clients ask for them."""
        self._servers.gateways = {"g1": Gateway(), "g2": Gateway()}
        self._devices: list[Device] = []
        for user_id, gateway in DEVICES:
            self._devices.append(Device(user_id, self._id(), self._sync))
            self._servers.gateways[gateway].devices.append(self._devices[-1])

    def _id(self) -> UUID:
        return UUID(int=next(self._ids))

    def _sync(self, conversation_id: UUID) -> View:
        assert self._has_died, "a number is missing though no router has died"
        return self._servers.log.view(conversation_id)

    def _queue(self, event: Event, outcome: Outcome) -> None:
        self._servers.queue.append((event, outcome))

    def _chat(self, pick: int) -> UUID:
        """A conversation, once in a while one that there isn't."""
        known = list(self._servers.log.conversations)
        return NOWHERE if pick % 10 == 9 else known[pick % len(known)]

    def _origin(self, device: Device) -> Origin:
        """Of a new try."""
        try_id = self._id()
        device.waiting.add(try_id)
        return Origin(DEVICES[self._devices.index(device)][1], device.session_id, try_id)

    def _asker(self) -> ReplyTo:
        return ReplyTo("replies", str(next(self._ids)))

    # --- what users do -----------------------------------------------------------------------

    @initialize()
    def first_match(self) -> None:
        """And some messages, of which the router has forgotten a few."""
        self._create(0, (ANNA, BEN))
        self.all_is_done()
        for device in (0, 3, 0, 0, 3, 0, 0):
            self._send(self._devices[device], self._chat(0), None)
        self.all_is_done()

    @rule(device=mostly_users, pick=picks, number=numbers, count=st.integers(1, 5))
    def send(self, device: int, pick: int, number: int | None, count: int) -> None:
        """With a client's own number, perhaps one of before; or several without."""
        for _ in range(count if number is None else 1):
            self._send(self._devices[device], self._chat(pick), number)

    @rule(device=st.sampled_from((0, 3)), number=st.integers(0, 2), between=st.integers(0, 9))
    def send_again(self, device: int, number: int, between: int) -> None:
        """By another device of the user, when the router may have forgotten it."""
        first, second = self._devices[device : device + 2]
        self._send(first, self._chat(0), number)
        for _ in range(between):
            self._send(first, self._chat(0), None)
        self.the_router_works(50, None, [])
        self._send(second, self._chat(0), number)

    @rule(device=mostly_users, pick=picks, number=st.integers(6, 8), rarely=st.booleans())
    def send_too_much(self, device: int, pick: int, number: int, rarely: bool) -> None:
        """What the rate limit refuses."""
        if rarely:
            return
        chat = self._chat(pick)
        self._servers.limited.add((self._devices[device].user_id, client_id(chat, number)))
        self._send(self._devices[device], chat, number)

    def _send(self, device: Device, chat: UUID, number: int | None) -> None:
        origin = self._origin(device)
        own = None if number is None else client_id(chat, number)
        event = Send(
            chat,
            device.user_id,
            origin.try_id,
            own,
            f"content {next(self._ids)}",
            self._now,
            device.session_id,
            origin.gateway_id,
        )
        self._servers.tried[origin.try_id] = (device.session_id, next(self._ids))
        is_limited = (device.user_id, event.identity) in self._servers.limited
        self._queue(event, self._expected.send(event, is_limited=is_limited))

    @rule(device=devices, pick=picks, count=st.integers(1, 8))
    def pong(self, device: int, pick: int, count: int) -> None:
        """For messages that the device shows, own ones among them, and of a stranger for all."""
        at, chat = self._devices[device], self._chat(pick)
        ids = self._shown(at, chat)[-count:]
        event = Delivered(chat, at.user_id, ids, self._now)
        self._queue(event, self._expected.delivered(event))

    @rule(
        device=mostly_users, pick=picks, first=picks, count=st.integers(1, 8), by_rest=st.booleans()
    )
    def read(self, device: int, pick: int, first: int, count: int, by_rest: bool) -> None:
        at, chat = self._devices[device], self._chat(pick)
        shown = self._shown(at, chat) or [NOWHERE]
        start = first % len(shown)
        self._read(at, chat, shown[start : start + count], by_rest=by_rest)

    @rule(device=mostly_users, pick=picks)
    def read_what_is_not_there(self, device: int, pick: int) -> None:
        at, chat = self._devices[device], self._chat(pick)
        self._read(at, chat, [*self._shown(at, chat)[-1:], NOWHERE], by_rest=False)

    def _read(self, at: Device, chat: UUID, ids: list[UUID], *, by_rest: bool) -> None:
        origin, reply_to = (None, self._asker()) if by_rest else (self._origin(at), None)
        event = MarkRead(chat, at.user_id, ids, None, self._now, origin, reply_to)
        self._queue(event, self._expected.mark_read(event, ids))

    @rule(device=mostly_users, pick=picks, back=st.integers(0, 12))
    def read_up_to(self, device: int, pick: int, back: int) -> None:
        """Up to what the device has seen, or less far."""
        at, chat = self._devices[device], self._chat(pick)
        view = at.views.get(chat, View())
        up_to = max(0, view.head - back)
        event = MarkRead(chat, at.user_id, [], up_to, self._now, self._origin(at))
        meant = [key for key, message in view.messages.items() if message.seq <= up_to]
        self._queue(event, self._expected.mark_read(event, meant))

    @rule(device=mostly_users, pick=picks, which=picks)
    def delete(self, device: int, pick: int, which: int) -> None:
        at, chat = self._devices[device], self._chat(pick)
        stored = self._servers.log.of(chat)  # REST may show it before it is told
        ids = [message.message_id for message in stored if message.sender_id == at.user_id]
        if not ids or which % 5 == 0:
            ids = [*self._shown(at, chat), NOWHERE]
        message_id = ids[-1 - which % len(ids)]
        event = DeleteMessage(chat, at.user_id, message_id, self._now, self._asker())
        self._queue(event, self._expected.delete(event))

    @rule(device=st.integers(0, len(DEVICES) - 2), count=st.integers(1, 4), death=deaths)
    def regret(self, device: int, count: int, death: Death | None) -> None:
        """A message that is taken back before its sender knows that it was sent."""
        at, chat = self._devices[device], self._chat(0)
        self._send(at, chat, None)
        self.the_router_works(50, None, [])
        for message in self._servers.log.of(chat)[-1:]:
            event = DeleteMessage(chat, at.user_id, message.message_id, self._now, self._asker())
            self._queue(event, self._expected.delete(event))
        self.the_router_works(count, death, [True])

    def _shown(self, device: Device, chat: UUID) -> list[UUID]:
        """Messages; a stranger has heard of all."""
        if device.user_id == EVE and chat in self._servers.log.conversations:
            return [message.message_id for message in self._servers.log.of(chat)]
        return list(device.views.get(chat, View()).messages)

    @rule(device=devices, pick=picks, rarely=st.integers(0, 5))
    def archive(self, device: int, pick: int, rarely: int) -> None:
        at = self._devices[device]
        if rarely and at.user_id != EVE:
            return
        event = ArchiveConversation(self._chat(pick), at.user_id, self._now, self._asker())
        self._queue(event, self._expected.archive(event))

    @rule(match=st.sampled_from((*MATCHES, NOWHERE)), rarely=st.integers(0, 5))
    def remove_match(self, match: UUID, rarely: int) -> None:
        if match != NOWHERE and (rarely or not self._expected.has(match)):
            return  # no removal comes before its match
        event = RemoveMatch(match, self._now)
        self._queue(event, self._expected.remove_match(event))

    @rule(
        match=st.integers(0, 1),
        users=st.sampled_from(((ANNA, BEN), (BEN, ANNA), (ANNA, EVE), (BEN, BEN))),
    )
    def create(self, match: int, users: tuple[UUID, UUID]) -> None:
        self._create(match, users)

    def _create(self, match: int, users: tuple[UUID, UUID]) -> None:
        event = CreateConversation(self._id(), MATCHES[match], *users, self._now, self._asker())
        self._queue(event, self._expected.create(event))

    @rule(device=devices)
    def connect_anew(self, device: int) -> None:
        """With all that it missed: the heads in CONNECT_SUCCESS say where to ask."""
        old = self._devices[device]
        new = Device(old.user_id, self._id(), self._sync)
        for user_id, conversation_id in self._servers.heads:
            if user_id == new.user_id:
                new.views[conversation_id] = self._servers.log.view(conversation_id)
        self._servers.gateways[DEVICES[device][1]].replace(old, new)
        self._devices[device] = new

    # --- what happens to them ----------------------------------------------------------------

    @rule(ms=st.integers(1, 3))
    def time_goes_by(self, ms: int) -> None:
        self._now += ms

    @rule(count=st.integers(1, 12), death=deaths, reached=reached)
    def the_router_works(self, count: int, death: Death | None, reached: list[bool]) -> None:
        with self._judged():
            if not self._router.process(count, death, reached):
                self._router = Router(self._servers)
                self._has_died = True

    @rule(count=st.integers(3, 12))
    def the_router_works_on(self, count: int) -> None:
        self.the_router_works(count, None, [])

    @rule(count=st.integers(1, 10))
    def the_persister_works(self, count: int) -> None:
        self._servers.persist(count)

    @rule()
    def all_is_done(self) -> None:
        with self._judged():
            while not self._router.is_idle:
                self._router.process(7, None, ())
                self._router.finish()
            self._all_is_well()
        self._has_died = False

    def teardown(self) -> None:
        if self._is_sound:
            self.all_is_done()

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """After one thing has gone wrong `teardown` would only find another."""
        self._is_sound = False
        yield
        self._is_sound = True

    # --- what must be so ---------------------------------------------------------------------

    @invariant()
    def what_is_remembered_is_true(self) -> None:
        with self._judged():
            self._check_memory()

    def _check_memory(self) -> None:
        for chat, row in self._servers.log.conversations.items():
            known = self._router.memory.conversation(chat)
            if known is not None:
                assert known.head == row.head
                assert (known.archived_at is None) == (row.archived_at is None)
                assert known.read_up_to == row.marks
                view = self._servers.log.view(chat)
                assert known.unread == [view.unread_by(user_id) for user_id in row.users]
                for message in self._servers.log.of(chat):
                    mine = known.message(message.message_id)
                    assert mine is None or mine == message or vars_of(mine) == vars_of(message)

    def _all_is_well(self) -> None:
        log = self._servers.log
        assert log.conversations.keys() == self._expected.conversations.keys()
        for chat, expected in self._expected.conversations.items():
            view = log.view(chat)
            assert view.is_archived == expected.is_archived
            assert {key: message.status for key, message in view.messages.items()} == {
                key: None if message.is_deleted else message.status
                for key, message in expected.messages.items()
            }
            for user_id in expected.users:
                self._check_user(chat, user_id, view)

        for conversation_id, seq in self._servers.untold:
            assert self._servers.is_overtaken(conversation_id, seq), "an entry was never told"
        self._servers.untold.clear()

    def _check_user(self, chat: UUID, user_id: UUID, view: View) -> None:
        unread = self._expected.conversations[chat].unread_by(user_id)
        assert len(self._servers.log.unread(chat, user_id)) == unread, "PostgreSQL's count"
        assert self._servers.heads[user_id, chat] == (view.head, view.is_archived)
        told = 0 if view.is_archived else unread
        assert self._servers.counts.get((user_id, chat), (0, 0))[1] == told, "Redis' count"
        for device in self._devices:
            if device.user_id == user_id:
                assert device.views[chat] == view, "a screen shows what a fresh one would"


def client_id(chat: UUID, number: int) -> UUID:
    """A client's number for a message, of this conversation alone."""
    return UUID(int=(chat.int << 32) + number + 1)


def vars_of(message: router_conversation.Message) -> tuple[object, ...]:
    return tuple(getattr(message, name) for name in router_conversation.Message.__slots__)


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes 128 messages and entries of 50 otherwise."""
    monkeypatch.setattr(router_conversation, "REMEMBERED", REMEMBERED)
    monkeypatch.setattr(receipts, "ENTRY_MOST", ENTRY_MOST)
    monkeypatch.setattr(model, "ENTRY_MOST", ENTRY_MOST)


def test_the_promises_hold_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    run_state_machine_as_test(
        Chat,
        settings=settings(
            max_examples=250,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
