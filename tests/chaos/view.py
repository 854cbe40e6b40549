"""What one device shows of one conversation, folded from what it gets. Pure.

As docs/protocol.md has it ("The log: seq, gaps and SYNC"): entries may come in any order, twice,
or not at all; the device applies what comes, and SYNCs from `head` when a gap stays. It is a
join: whatever is known of a message only grows, so neither order nor repetition matters.
"""

from typing import Final
from uuid import UUID

from tests.chaos.evidence import Frame

RANK: Final = {"SENT": 1, "DELIVERED": 2, "READ": 3}
"""A status only rises (promise 7)."""

_FIELDS: Final = (
    "seq",
    "senderId",
    "content",
    "status",
    "timestamp",
    "deliveredAt",
    "readAt",
    "deletedAt",
    "changedSeq",
)
"""What it shows of a message: `Message`'s fields, but those that are the same for all."""


class View:
    """`me` is the device's user. A fresh view knows nothing: `head` is 0."""

    def __init__(self, conversation: UUID, me: UUID) -> None:
        self.head = 0
        """The number up to which all is known: what to SYNC from."""
        self.archived_at: str | None = None
        """SYNC doesn't tell it: whoever was away asks GET /conversations/{id}."""
        self._conversation = str(conversation)
        self._me = str(me)
        self._drafts: dict[str, str] = {}
        self._messages: dict[str, Frame] = {}
        self._applied: set[int] = set()
        """Numbers beyond a gap."""
        self._told = 0
        """The largest number that it has heard of."""

    @property
    def gap(self) -> bool:
        """Whether entries up to one that it has heard of are missing."""
        return self._told > self.head

    def sending(self, client_message_id: UUID, content: str) -> None:
        """Before the first try: MESSAGE_SENT doesn't carry what was sent."""
        self._drafts[str(client_message_id)] = content.strip()

    def take(self, frame: Frame) -> bool:
        """Any frame of a session. False while there is a gap.

        Entries of different kinds may overtake each other: SYNC when the gap is still there a
        second later, at once after a CONNECT_SUCCESS.
        """
        if frame["type"] == "CONNECT_SUCCESS":
            self._told = max(self._told, frame["heads"].get(self._conversation, 0))
        elif frame.get("conversationId") == self._conversation and "seq" in frame:
            self._told = max(self._told, frame["seq"])
            if frame["seq"] > self.head and self._apply(frame):
                self._applied.add(frame["seq"])
                self._close_up()
        return not self.gap

    def synced(self, result: Frame) -> bool:
        """SYNC_RESULT, or the body of GET …/sync, asked from `head`. False: ask again from it."""
        for message in result["messages"]:
            self._merge(message["messageId"], {field: message[field] for field in _FIELDS})
        # Of a page that isn't all: what changed later than its last message comes in the next.
        known = result["head"] if result["complete"] else result["messages"][-1]["changedSeq"]
        self._told = max(self._told, result["head"])
        self.head = max(self.head, known)
        self._applied = {number for number in self._applied if number > self.head}
        self._close_up()
        return bool(result["complete"])

    def shown(self) -> dict[str, Frame]:
        """By messageId: seq, senderId, content, status, deletedAt and the other times."""
        return {
            message_id: {**message, "content": None} if message["deletedAt"] else dict(message)
            for message_id, message in self._messages.items()
            # Else only a receipt has come so far.
            if message["seq"] is not None
        }

    def _close_up(self) -> None:
        while self.head + 1 in self._applied:
            self.head += 1
            self._applied.remove(self.head)

    def _apply(self, frame: Frame) -> bool:
        """Whether the frame is the entry that has its number, and was understood."""
        seq = frame["seq"]
        match frame["type"]:
            case "MESSAGE_SENT":
                content = self._drafts.get(str(frame["clientMessageId"]))
                if content is None:
                    return False  # sent by a device that forgot it: a gap, which SYNC fills
                own = {"senderId": self._me, "content": content}
                self._create(frame, own)
            case "MESSAGE_RECEIVED":
                self._create(frame, {field: frame[field] for field in ("senderId", "content")})
            case "MESSAGE_DELIVERED":
                news = {"status": "DELIVERED", "deliveredAt": frame["deliveredAt"]}
                self._change(seq, frame["messageIds"], news)
            case "MESSAGE_READ":
                if not frame["messageIds"]:
                    return False  # the answer that nothing was left to read; it names the head
                self._change(
                    seq, frame["messageIds"], {"status": "READ", "readAt": frame["readAt"]}
                )
            case "MESSAGE_DELETED":
                self._change(seq, [frame["messageId"]], {"deletedAt": frame["deletedAt"]})
            case "CONVERSATION_ARCHIVED":
                self.archived_at = frame["archivedAt"]
            case "CONVERSATION_CREATED":
                pass
            case _:
                return False
        return True

    def _create(self, frame: Frame, news: Frame) -> None:
        place = {"seq": frame["seq"], "timestamp": frame["timestamp"]}
        self._change(frame["seq"], [frame["messageId"]], place | news)

    def _change(self, seq: int, message_ids: list[str], news: Frame) -> None:
        for message_id in message_ids:
            self._merge(message_id, {**news, "changedSeq": seq})

    def _merge(self, message_id: str, news: Frame) -> None:
        known = self._messages.get(message_id)
        if known is None:
            known = dict.fromkeys(_FIELDS)
            known |= {"status": "SENT", "changedSeq": 0}
            self._messages[message_id] = known
        status, changed_seq = known["status"], known["changedSeq"]
        known |= {field: value for field, value in news.items() if value is not None}
        known["status"] = max(status, known["status"], key=RANK.__getitem__)
        known["changedSeq"] = max(changed_seq, known["changedSeq"])
