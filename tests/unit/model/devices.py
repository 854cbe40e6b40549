"""Gateways and the devices behind them: what each user's screens show of what they were told."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from libs.common.domain.status import Status
from libs.common.protocol import frames
from libs.common.protocol.deliveries import Answer, Delivery, ToUser
from tests.unit.model.tables import Seen, View

EntryFrame = (
    frames.MessageReceived
    | frames.MessageDelivered
    | frames.MessageRead
    | frames.MessageDeleted
    | frames.ConversationCreated
    | frames.ConversationArchived
)

_ENTRY: Any = EntryFrame | frames.MessageSent


class Device:
    """A client that shows what it is told, and asks for the rest where a number is missing."""

    def __init__(self, user_id: UUID, session_id: UUID, sync: Callable[[UUID], View]) -> None:
        self.user_id = user_id
        self.session_id = session_id
        self.views: dict[UUID, View] = {}
        self.waiting: set[UUID] = set()
        """Tries that were not answered yet."""
        self._sync = sync
        """Raises where nothing can be missing."""

    def shows(self, conversation_id: UUID) -> View:
        return self.views.setdefault(conversation_id, View())

    def told(self, frame: EntryFrame | frames.MessageSent) -> None:
        view = self.shows(frame.conversation_id)
        is_entry = not isinstance(frame, frames.MessageRead) or frame.message_ids
        if isinstance(frame, frames.MessageSent) and frame.message_id in view.messages:
            assert view.messages[frame.message_id].seq == frame.seq, "one number for each try"
        elif frame.seq > view.head + bool(is_entry):
            self.views[frame.conversation_id] = self._sync(frame.conversation_id)
        elif frame.seq > view.head:
            view.head = frame.seq
            self._show(view, frame)

    def _show(self, view: View, frame: EntryFrame | frames.MessageSent) -> None:
        match frame:
            case frames.MessageSent():
                view.messages[frame.message_id] = Seen(self.user_id, frame.seq, Status.SENT)
            case frames.MessageReceived():
                view.messages[frame.message_id] = Seen(frame.sender_id, frame.seq, Status.SENT)
            case frames.MessageDelivered():
                self._raise(view, frame.message_ids, Status.DELIVERED)
            case frames.MessageRead():
                self._raise(view, frame.message_ids, Status.READ)
            case frames.MessageDeleted():
                view.messages[frame.message_id].status = None
            case frames.ConversationArchived():
                view.is_archived = True

    def _raise(self, view: View, message_ids: list[UUID], status: Status) -> None:
        for message_id in message_ids:
            message = view.messages[message_id]
            assert message.status is not None, "nothing becomes of a tombstone"
            assert message.status < status, "status only rises (promise 7)"
            message.status = status


class Gateway:
    """Writes an entry once for a user, and an answer once for a try (`ws_gateway.registry`)."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self._newest: dict[tuple[UUID, UUID], int] = {}

    def receive(self, delivery: Delivery) -> None:
        if isinstance(delivery, ToUser):
            place = (delivery.user_id, delivery.conversation_id)
            if not self.has(delivery.user_id) or delivery.seq <= self._newest.get(place, 0):
                return
            self._newest[place] = delivery.seq
            for device in self.devices:
                is_asker = device.session_id == delivery.except_session_id
                if device.user_id == delivery.user_id and not is_asker:
                    device.told(entry_of(delivery.frame))
        elif isinstance(delivery, Answer):
            for device in self.devices:
                if device.session_id == delivery.session_id and delivery.try_id in device.waiting:
                    device.waiting.remove(delivery.try_id)
                    if not is_error(delivery.frame):
                        device.told(entry_of(delivery.frame))

    def has(self, user_id: UUID) -> bool:
        return any(device.user_id == user_id for device in self.devices)

    def replace(self, old: Device, new: Device) -> None:
        """One went and came again; with a user's last session goes what they had been told."""
        self.devices.remove(old)
        if not self.has(old.user_id):
            self._newest = {
                place: seq for place, seq in self._newest.items() if place[0] != old.user_id
            }
        self.devices.append(new)


def is_error(frame: bytes) -> bool:
    return frame.startswith(b'{"type":"ERROR"')


def entry_of(frame: bytes) -> EntryFrame | frames.MessageSent:
    return msgspec.json.decode(frame, type=_ENTRY)  # type: ignore[no-any-return]
