"""A small chat service that makes no mistakes, and the evidence that it leaves.

What the checker's and the view's tests begin with: they plant a mistake in it.
"""

import itertools
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from libs.common.domain.moment import rfc3339
from tests.chaos.evidence import (
    NEWEST,
    Conversation,
    Evidence,
    Frame,
    Heard,
    History,
    Injection,
    Operation,
    Outcome,
    Row,
    Snapshot,
    Synced,
    Unread,
)
from tests.chaos.view import View

SECOND_MS = 1_000
EPOCH_MS = 1_767_225_600_000


@dataclass
class Talk:
    """A conversation as its log has made it."""

    conversation: UUID
    users: tuple[UUID, UUID]
    head: int = 1
    archived_seq: int | None = None
    messages: list[Frame] = field(default_factory=list)
    """`Message` objects as its sender sees them, in order."""

    def other(self, user: UUID) -> UUID:
        return self.users[1 - self.users.index(user)]


@dataclass
class Device:
    user: UUID
    name: str
    session: int = -1
    online: bool = False
    order: int = 0
    views: dict[UUID, View] = field(default_factory=dict)


class World:
    """Two conversations: Anna with Ben, Anna with Cleo; a second device of Anna's."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._now = 100.0
        self.anna, self.ben, self.cleo = (self.id() for _ in range(3))
        self.talks = [
            Talk(self.id(), (self.anna, self.ben)),
            Talk(self.id(), (self.cleo, self.anna)),
        ]
        owners = {"a1": self.anna, "a2": self.anna, "b1": self.ben, "c1": self.cleo}
        self.devices = {name: Device(user, name) for name, user in owners.items()}
        self.operations: list[Operation] = []
        self.heard: list[Heard] = []
        for device in self.devices.values():
            for talk in self.talks_of(device):
                device.views[talk.conversation] = View(talk.conversation, device.user)

    def id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def tick(self) -> float:
        self._now += 0.001
        return self._now

    def talks_of(self, device: Device) -> list[Talk]:
        return [talk for talk in self.talks if device.user in talk.users]

    # ------------------------------------------------------------------ what clients do

    def connect(self, name: str) -> None:
        device = self.devices[name]
        device.session += 1
        device.online = True
        began = self.tick()
        heads = {str(talk.conversation): talk.head for talk in self.talks_of(device)}
        self._tell(device, {"type": "CONNECT_SUCCESS", "heads": heads})
        self._done(device, "connect", None, began, answer={"heads": heads})

    def disconnect(self, name: str) -> None:
        self.devices[name].online = False

    def send(
        self, name: str, talk: Talk, content: str | None = None, outcome: Outcome = "ok"
    ) -> Frame:
        """`unknown`: it is kept, but the answer is lost."""
        device = self.devices[name]
        began, seq, client = self.tick(), self._grow(talk), self.id()
        content = content or f"content {client}"
        message = {
            "messageId": str(self.id()),
            "conversationId": str(talk.conversation),
            "senderId": str(device.user),
            "content": content,
            "status": "SENT",
            "timestamp": self.moment(),
            "deliveredAt": None,
            "readAt": None,
            "deletedAt": None,
            "seq": seq,
            "changedSeq": seq,
            "clientMessageId": str(client),
        }
        talk.messages.append(message)
        device.views[talk.conversation].sending(client, content)
        sent = {
            "type": "MESSAGE_SENT",
            **{
                key: message[key]
                for key in ("clientMessageId", "messageId", "conversationId", "seq", "timestamp")
            },
        }
        keys = ("messageId", "conversationId", "senderId", "content", "timestamp", "seq")
        received = {"type": "MESSAGE_RECEIVED", **{key: message[key] for key in keys}}
        if outcome == "ok":
            self._tell(device, sent)
        for other in self._listeners(talk):
            if other.user != device.user:
                self._tell(other, received)
            elif other is not device:
                self._tell(other, {**received, "clientMessageId": str(client)})
        device.order += 1
        self._done(
            device,
            "send",
            talk,
            began,
            outcome=outcome,
            order=device.order,
            client_message_id=client,
            content=content,
            answer=sent if outcome == "ok" else None,
        )
        return message

    def refused(self, name: str, talk: Talk) -> None:
        """A send that comes to nothing."""
        device = self.devices[name]
        device.order += 1
        self._done(
            device,
            "send",
            talk,
            self.tick(),
            outcome="failed",
            order=device.order,
            client_message_id=self.id(),
            content="refused",
            answer={"type": "ERROR", "code": 403, "error": "CONVERSATION_ARCHIVED"},
        )

    def deliver(self, talk: Talk, user: UUID) -> None:
        """What the user's devices have heard and is only SENT."""
        heard = {
            item.frame.get("messageId") or message["messageId"]
            for item in self.heard
            if item.user == user and item.frame["type"] in ("MESSAGE_RECEIVED", "SYNC_RESULT")
            for message in item.frame.get("messages", ({"messageId": None},))
        }
        named = [
            message
            for message in self._theirs(talk, user)
            if message["status"] == "SENT" and message["messageId"] in heard
        ]
        if named:
            news = {"status": "DELIVERED", "deliveredAt": self.moment()}
            entry = self._change(talk, named, news)
            frame = {"type": "MESSAGE_DELIVERED", **entry, "deliveredAt": news["deliveredAt"]}
            self._tell_all(talk, frame)

    def read(self, name: str, talk: Talk) -> None:
        device = self.devices[name]
        began, read_at = self.tick(), self.moment()
        unread = [m for m in self._theirs(talk, device.user) if m["status"] != "READ"]
        up_to = talk.head
        about = {"type": "MESSAGE_READ", "readerId": str(device.user), "readAt": read_at}
        if unread:
            entry = self._change(talk, unread, {"status": "READ", "readAt": read_at})
            frame = {**about, **entry}
            self._tell_all(talk, frame)
        else:
            nothing: Frame = {"messageIds": [], "messageId": None, "seq": talk.head}
            frame = {**about, **nothing, "conversationId": str(talk.conversation)}
            self._tell(device, frame)
        self._done(device, "read", talk, began, up_to_seq=up_to, answer=frame)

    def delete(self, name: str, talk: Talk) -> None:
        """The oldest of the device's user that is still there."""
        device = self.devices[name]
        for message in talk.messages:
            if message["senderId"] == str(device.user) and not message["deletedAt"]:
                break
        else:
            return
        began = self.tick()
        news = {"deletedAt": self.moment(), "content": None}
        entry = self._change(talk, [message], news)
        del entry["messageIds"]
        frame = {"type": "MESSAGE_DELETED", **entry, "deletedAt": news["deletedAt"]}
        self._tell_all(talk, frame)
        self._done(device, "delete", talk, began, message_ids=[UUID(message["messageId"])])

    def archive(self, talk: Talk) -> None:
        talk.archived_seq = self._grow(talk)
        frame = {
            "type": "CONVERSATION_ARCHIVED",
            "conversationId": str(talk.conversation),
            "archivedAt": self.moment(),
            "seq": talk.archived_seq,
        }
        self._tell_all(talk, frame)

    def sync(self, name: str, talk: Talk, limit: int = 200) -> bool:
        """Whether that was all."""
        device = self.devices[name]
        view = device.views[talk.conversation]
        began = self.tick()
        changed = self._changed_after(talk, view.head, device.user)
        while 0 < limit < len(changed) and (
            changed[limit]["changedSeq"] == changed[limit - 1]["changedSeq"]
        ):
            limit += 1  # whole entries
        result = {
            "type": "SYNC_RESULT",
            "conversationId": str(talk.conversation),
            "messages": changed[:limit],
            "head": talk.head,
            "complete": len(changed) <= limit,
        }
        self._tell(device, result)
        self._done(device, "sync", talk, began, up_to_seq=view.head, answer=result)
        return view.synced(result)

    def look(self, name: str, talk: Talk) -> None:
        """At the newest message, and at all of them."""
        device = self.devices[name]
        began = self.tick()
        messages = self._as_seen_by(talk.messages, device.user)
        if messages:
            self._done(device, "look", talk, began, answer=messages[-1])
        page = {"items": messages[::-1], "nextCursor": None}
        self._done(device, "history", talk, self.tick(), answer=page, is_newest=True)

    # ------------------------------------------------------------------ what is left

    def live(self, name: str, talk: Talk) -> list[Frame]:
        """All frames that a device got."""
        return [item.frame for item in self.heard if item.device == name]

    def evidence(self) -> Evidence:
        """Everybody SYNCs; then nothing more happens."""
        for name, device in self.devices.items():
            if not device.online:
                self.connect(name)
            for talk in self.talks_of(device):
                while not self.sync(name, talk):
                    pass
        return Evidence(
            seed=0,
            operations=list(self.operations),
            heard=list(self.heard),
            closed=[],
            injections=[
                Injection(
                    fault="none",
                    detail="",
                    is_alone=True,
                    target_s=None,
                    began=100.0,
                    lifted=100.5,
                    flows_after_s=0.5,
                    stored_after_s=0.7,
                    untouched_closed=[],
                )
            ],
            rows=[row_of(message) for talk in self.talks for message in talk.messages],
            conversations=[
                Conversation(
                    conversation=talk.conversation,
                    users=talk.users,
                    head=talk.head,
                    archived_seq=talk.archived_seq,
                )
                for talk in self.talks
            ],
            histories=[
                History(
                    user=user,
                    conversation=talk.conversation,
                    head=talk.head,
                    unread=self.unread(talk, user),
                    messages=self._as_seen_by(talk.messages, user),
                    newest=self._as_seen_by(talk.messages[::-1][:NEWEST], user),
                )
                for talk in self.talks
                for user in talk.users
            ],
            synced=[
                Synced(
                    user=user,
                    conversation=talk.conversation,
                    after=after,
                    head=talk.head,
                    messages=self._changed_after(talk, after, user),
                )
                for talk in self.talks
                for user in talk.users
                for after in {0, talk.head // 2, talk.head}
            ],
            snapshots=[
                Snapshot(
                    user=device.user,
                    device=device.name,
                    conversation=conversation,
                    head=view.head,
                    shown=view.shown(),
                )
                for device in self.devices.values()
                for conversation, view in device.views.items()
            ],
            unread=[self._unread_of(user) for user in (self.anna, self.ben, self.cleo)],
            dead=[],
            queued={"chat.events.0": 0, "chat.writes.0": 0},
        )

    def unread(self, talk: Talk, user: UUID) -> int:
        return sum(message["status"] != "READ" for message in self._theirs(talk, user))

    def _unread_of(self, user: UUID) -> Unread:
        talks = [talk for talk in self.talks if user in talk.users and talk.archived_seq is None]
        counts = {str(talk.conversation): self.unread(talk, user) for talk in talks}
        counts = {conversation: count for conversation, count in counts.items() if count}
        return Unread(user=user, total=sum(counts.values()), conversations=counts)

    # ------------------------------------------------------------------ the inside

    def moment(self) -> str:
        return rfc3339(EPOCH_MS + int(self.tick() * SECOND_MS))

    def _grow(self, talk: Talk) -> int:
        talk.head += 1
        return talk.head

    def _theirs(self, talk: Talk, user: UUID) -> list[Frame]:
        return [m for m in talk.messages if m["senderId"] != str(user) and not m["deletedAt"]]

    def _change(self, talk: Talk, messages: list[Frame], news: Frame) -> Frame:
        seq = self._grow(talk)
        for message in messages:
            message |= {**news, "changedSeq": seq}
        return {
            "conversationId": str(talk.conversation),
            "messageId": messages[-1]["messageId"],
            "messageIds": [message["messageId"] for message in messages],
            "seq": seq,
        }

    def _as_seen_by(self, messages: list[Frame], user: UUID) -> list[Frame]:
        return [
            {
                key: value
                for key, value in message.items()
                if key != "clientMessageId" or message["senderId"] == str(user)
            }
            for message in messages
        ]

    def _changed_after(self, talk: Talk, after: int, user: UUID) -> list[Frame]:
        changed = [message for message in talk.messages if message["changedSeq"] > after]
        return self._as_seen_by(sorted(changed, key=lambda m: (m["changedSeq"], m["seq"])), user)

    def _listeners(self, talk: Talk) -> list[Device]:
        return [
            device
            for device in self.devices.values()
            if device.online and device.user in talk.users
        ]

    def _tell_all(self, talk: Talk, frame: Frame) -> None:
        for device in self._listeners(talk):
            self._tell(device, frame)

    def _tell(self, device: Device, frame: Frame) -> None:
        self.heard.append(
            Heard(
                at=self.tick(),
                user=device.user,
                device=device.name,
                session=device.session,
                frame=frame,
            )
        )
        for view in device.views.values():
            view.take(frame)

    def _done(
        self,
        device: Device,
        kind: str,
        talk: Talk | None,
        began: float,
        *,
        outcome: Outcome = "ok",
        **more: object,
    ) -> None:
        self.operations.append(
            Operation(
                user=device.user,
                device=device.name,
                kind=kind,  # type: ignore[arg-type]
                conversation=talk.conversation if talk else None,
                began=began,
                ended=self.tick(),
                outcome=outcome,
                sessions=[device.session],
                **more,  # type: ignore[arg-type]
            )
        )


def row_of(message: Frame) -> Row:
    return Row(
        message_id=UUID(message["messageId"]),
        conversation=UUID(message["conversationId"]),
        sender=UUID(message["senderId"]),
        client_message_id=UUID(message["clientMessageId"]),
        content=message["content"] or "",
        status=message["status"],
        seq=message["seq"],
        changed_seq=message["changedSeq"],
        timestamp=message["timestamp"],
        delivered_at=message["deliveredAt"],
        read_at=message["readAt"],
        deleted_at=message["deletedAt"],
    )


def lively(seed: int, steps: int = 60) -> World:
    """A world in which much has happened: every kind of thing at random."""
    world, random = World(seed), Random(seed)
    for name in world.devices:
        world.connect(name)
    for name in ("a1", "b1", "c1"):
        world.send(name, random.choice(world.talks_of(world.devices[name])))
    for _ in range(steps):
        step(world, random)
    return world


def step(world: World, random: Random) -> None:
    name = random.choice(list(world.devices))
    device = world.devices[name]
    talk = random.choice(world.talks_of(device))
    if not device.online:
        world.connect(name)
        return
    kinds = itertools.chain(
        ["send"] * 5, ["deliver"] * 3, ["read"] * 2, ["delete", "disconnect", "sync", "look"]
    )
    match random.choice(list(kinds)):
        case "send" if talk.archived_seq is not None:
            world.refused(name, talk)
        case "send":
            world.send(name, talk, outcome=random.choice(("ok", "ok", "ok", "unknown")))
        case "deliver":
            world.deliver(talk, device.user)
        case "read":
            world.read(name, talk)
        case "delete":
            world.delete(name, talk)
        case "disconnect":
            world.disconnect(name)
        case "sync":
            world.sync(name, talk, limit=random.choice((1, 2, 200)))
        case "look":
            world.look(name, talk)
