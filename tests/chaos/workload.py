"""Many users who chat as people do, each by chance of its own, while faults strike.

What they do follows from the seed; when it happens, and so what comes of it, does not.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from time import perf_counter
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from tests.chaos.calling import Caller
from tests.chaos.client import Client
from tests.chaos.evidence import Kind, Operation, Snapshot
from tests.chaos.recorder import Recorder
from tests.integration.conftest import System

BURST_MOST: Final = 5
OUTSTANDING_MOST: Final = 12
"""A device with so many unanswered messages sends no more: nobody types on for ever."""
WITHOUT_ID: Final = 0.02
"""The share of messages without a clientMessageId."""
PAGE_MOST: Final = 30
SHORT_LEAVE_S: Final = 0.5
LONG_LEAVE_S: Final = (2.0, 10.0)
POLL_S: Final = 0.1
BEGINNING_S: Final = 60.0
STOP_S: Final = 5.0
LIVE_S: Final = 3.0
"""What comes live comes within so long. Whoever is behind then must SYNC, and the recorded
frames show that something hadn't come."""

RATES: Final[Mapping[str, float]] = {
    "read": 0.7,
    "read_by_rest": 0.05,
    "type": 0.3,
    "delete": 0.06,
    "look": 0.08,
    "history": 0.08,
    "count": 0.03,
    "leave": 0.03,
    "twice": 0.1,
}
"""How often a second each user does each, besides sending."""

REST_KINDS: Final[dict[str, tuple[Kind, str, str]]] = {
    "read_by_rest": ("read", "PUT", "/read"),
    "delete": ("delete", "DELETE", ""),
    "look": ("look", "GET", ""),
}
"""Of one message: what it is, its method and what follows the message's own path."""

WORDS: Final = (
    *("hi", "tea?", 'a "quote"', "back\\slash", "line\nbreak", "tab\there", "{}", "null", "<b>"),
    *("naïve", "e\u0301clair", "日本語", "สวัสดี", "שלום", "مرحبا", "🦜", "𝔘"),
    *("👩\u200d👧", "\u200d", "\ufeff"),
)


@dataclass(frozen=True)
class Pair:
    """A conversation and its users."""

    conversation: UUID
    users: tuple[UUID, UUID]


@dataclass(eq=False)
class Person:
    """One user with all devices and conversations."""

    user: UUID
    random: Random
    devices: list[Client] = field(default_factory=list)
    conversations: list[UUID] = field(default_factory=list)


class Progress(NamedTuple):
    """A live count, of all devices."""

    sent: int
    acknowledged: int
    outstanding: int
    """Messages and readings without an answer."""
    online: int
    devices: int


class Workload:
    """Use `async with`: then all are connected. They act between `start` and `pause`."""

    def __init__(
        self,
        system: System,
        seed: int,
        recorder: Recorder,
        *,
        users: int = 44,
        rate: float = 250.0,
        rates: Mapping[str, float] = RATES,
    ) -> None:
        """`rate`: messages a second of all together."""
        assert users >= 4
        self.pairs: list[Pair] = []
        self.people: list[Person] = []
        self.caller = Caller(system)
        self._system = system
        self._seed = seed
        self._recorder = recorder
        self._random = Random(seed)
        self._url = lambda: system.socket_url
        self._count = users
        sends = rate / users / ((1 + BURST_MOST) / 2)
        self._actions: dict[str, float] = {"send": sends, **rates}
        self._acting = asyncio.Event()
        self._devices: list[asyncio.Task[None]] = []
        self._acts: list[asyncio.Task[None]] = []
        self._calls: dict[Person, asyncio.Task[None]] = {}
        self._numbers = iter(range(1 << 62))

    @property
    def clients(self) -> Iterator[Client]:
        return (device for person in self.people for device in person.devices)

    def progress(self) -> Progress:
        clients = list(self.clients)
        return Progress(
            sent=sum(client.sent for client in clients),
            acknowledged=sum(client.acknowledged for client in clients),
            outstanding=sum(client.outstanding for client in clients),
            online=sum(client.is_online for client in clients),
            devices=len(clients),
        )

    def start(self) -> None:
        self._acting.set()

    def pause(self) -> None:
        """Nobody begins anything; what was begun goes on."""
        self._acting.clear()

    async def settle(self, within_s: float = 60.0) -> None:
        """Pauses; brings all devices online and up to date.

        What has no answer within that time is given up as unknown. A device that isn't where the
        service says that the logs are, after as long again, shows what it has.
        """
        self.pause()
        until = perf_counter() + within_s
        await _come_true(lambda: not self._calls, until)
        for client in self.clients:
            client.come_back()
        await _come_true(self._is_settled, until)
        for client in self.clients:
            client.give_up()
        await self._catch_up(within_s)

    def snapshots(self) -> list[Snapshot]:
        """What each device shows now."""
        return [snapshot for client in self.clients for snapshot in client.snapshots()]

    async def _catch_up(self, within_s: float) -> None:
        """Ends when every view is at the head and no head has moved meanwhile."""
        until = perf_counter() + within_s
        while perf_counter() < until:
            heads = await self.heads()
            await _come_true(partial(self._is_at, heads), perf_counter() + LIVE_S)
            behind = self._behind(heads)
            for client, conversation in behind:
                client.catch_up(conversation)
            if not behind and self._is_settled() and heads == await self.heads():
                return

    def _is_settled(self) -> bool:
        return all(client.is_settled for client in self.clients)

    def _is_at(self, heads: dict[UUID, int]) -> bool:
        return not self._behind(heads)

    def _behind(self, heads: dict[UUID, int]) -> list[tuple[Client, UUID]]:
        return [
            (device, conversation)
            for person in self.people
            for device in person.devices
            for conversation in person.conversations
            if device.views[conversation].head < heads[conversation]
        ]

    async def heads(self) -> dict[UUID, int]:
        """Where each conversation's log stands, as REST says."""
        found: dict[UUID, int] = {}
        for person in self.people:
            page = await self.caller.call(person.user, "GET", "/conversations?limit=100")
            for item in page.expected("the conversations")["items"]:
                found[UUID(item["conversationId"])] = item["head"]
        return found

    # ------------------------------------------------------------------ beginning and ending

    async def __aenter__(self) -> "Workload":
        try:
            await self._make_people()
            self._devices = [asyncio.create_task(client.run()) for client in self.clients]
            is_there = await _come_true(self._is_settled, perf_counter() + BEGINNING_S)
            assert is_there, "not all devices could connect"
        except BaseException:
            await self.__aexit__()
            raise
        self._acts = [asyncio.create_task(self._act(person)) for person in self.people]
        return self

    async def __aexit__(self, *error: object) -> None:
        """Raises what a device or a person has failed of: a bug of theirs."""
        for task in (*self._acts, *self._calls.values()):
            task.cancel()
        for client in self.clients:
            client.stop()
        tasks = [*self._acts, *self._devices]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await self.caller.__aexit__()
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def _make_people(self) -> None:
        for number in range(self._count):
            person = Person(uuid4(), Random(f"{self._seed}/{number}"))
            self.people.append(person)
            for device in range(self._random.choice((1, 1, 2, 2, 3))):
                name = f"u{number}d{device}"
                token = self._system.token(person.user, lasts_s=24 * 3600)
                chance = Random(f"{self._seed}/{name}")
                person.devices.append(
                    Client(person.user, name, self._url, token, self._recorder, random=chance)
                )
        for one, other in self._who_with_whom():
            body = {
                "matchId": str(uuid4()),
                "user1Id": str(one.user),
                "user2Id": str(other.user),
            }
            made = await self.caller.call(None, "POST", "/conversations", body=body)
            conversation = UUID(made.expected("a conversation")["conversationId"])
            self.pairs.append(Pair(conversation, (one.user, other.user)))
            one.conversations.append(conversation)
            other.conversations.append(conversation)

    def _who_with_whom(self) -> Iterator[tuple[Person, Person]]:
        """Each in 1 to 3 conversations."""
        people = self.people
        for number in range(0, self._count - 1, 2):
            yield people[number], people[number + 1]
        if self._count % 2:
            yield people[-1], people[0]
        # Those between n and n + 3 as well, for a third of all: never a pair twice.
        for number in range(0, self._count - 3, 3):
            yield people[number], people[number + 3]

    # ------------------------------------------------------------------ acting

    async def _act(self, person: Person) -> None:
        random = person.random
        actions, weights = list(self._actions), list(self._actions.values())
        while True:
            await asyncio.sleep(random.expovariate(sum(weights)))
            if not self._acting.is_set():
                await self._acting.wait()
                continue
            [action] = random.choices(actions, weights)
            conversation = random.choice(person.conversations)
            device = random.choice(person.devices)
            match action:
                case "send":
                    self._send(person, device, conversation)
                case "read":
                    device.mark_as_read(conversation, by_id=random.random() < 0.5)
                case "type":
                    device.type(conversation, starts=random.random() < 0.8)
                case "leave":
                    self._leave(person, device)
                case "twice":
                    self._send_twice(person, conversation)
                case "count":
                    self._glance(person)
                case _:
                    self._call(person, device, conversation, action)

    def _send(self, person: Person, device: Client, conversation: UUID) -> None:
        for _ in range(person.random.randint(1, BURST_MOST)):
            if device.outstanding >= OUTSTANDING_MOST:
                return
            has_id = person.random.random() >= WITHOUT_ID
            client_id = self._client_id(person) if has_id else None
            device.send(conversation, self._content(person, device), client_id)

    def _send_twice(self, person: Person, conversation: UUID) -> None:
        """The same by two devices, which mostly are on two gateways."""
        free = [one for one in person.devices if one.outstanding < OUTSTANDING_MOST]
        if len(free) >= 2:
            both = person.random.sample(free, 2)
            client_id, content = self._client_id(person), self._content(person, both[0])
            for device in both:
                device.send(conversation, content, client_id)

    def _client_id(self, person: Person) -> UUID:
        return UUID(int=person.random.getrandbits(128), version=4)

    def _content(self, person: Person, device: Client) -> str:
        words = person.random.choices(WORDS, k=person.random.randint(1, 6))
        # The last character is none that trimming takes away.
        return f"{device.device} {next(self._numbers)} {' '.join(words)}."

    def _leave(self, person: Person, device: Client) -> None:
        random = person.random
        is_short = random.random() < 0.6
        for_s = random.uniform(0, SHORT_LEAVE_S) if is_short else random.uniform(*LONG_LEAVE_S)
        device.leave(for_s, "close" if random.random() < 0.5 else "abort")

    # ------------------------------------------------------------------ by REST

    def _call(self, person: Person, device: Client, conversation: UUID, action: str) -> None:
        """One at a time of each person, beside all else that they do."""
        if person in self._calls:
            return
        random = person.random
        message_ids: list[UUID] = []
        side = ""
        if action == "history":
            kind: Kind = "history"
            side = random.choice(("", f"&after={random.randint(0, 400)}", "&before=200"))
            limit = random.randint(1, PAGE_MOST)
            method, path = "GET", f"/conversations/{conversation}/messages?limit={limit}{side}"
        else:
            kind, method, suffix = REST_KINDS[action]
            known = device.own if kind == "delete" else device.seen
            if not known:
                return
            conversation, message_id = random.choice(known)
            message_ids.append(UUID(message_id))
            path = f"/messages/{message_id}{suffix}"

        async def call() -> None:
            began = perf_counter()
            answer = await self.caller.call(person.user, method, path)
            self._recorder.ended(
                Operation(
                    user=person.user,
                    device=device.device,
                    kind=kind,
                    conversation=conversation,
                    began=began,
                    ended=perf_counter(),
                    outcome=answer.outcome,
                    message_ids=message_ids,
                    is_newest=kind == "history" and not side,
                    answer=answer.body,
                )
            )

        self._begin_call(person, call())

    def _glance(self, person: Person) -> None:
        """A glance at GET /unread: from the first one on Redis keeps this user's counts."""

        async def call() -> None:
            await self.caller.call(person.user, "GET", "/unread")

        if person not in self._calls:
            self._begin_call(person, call())

    def _begin_call(self, person: Person, call: Coroutine[Any, Any, None]) -> None:
        task = self._calls[person] = asyncio.create_task(call)
        task.add_done_callback(lambda _: self._calls.pop(person))


async def _come_true(holds: Callable[[], bool], until: float) -> bool:
    """Whether it has come to hold by then (perf_counter)."""
    while perf_counter() < until:
        if holds():
            return True
        await asyncio.sleep(POLL_S)
    return holds()
