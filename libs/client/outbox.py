"""Messages that have no MESSAGE_SENT yet. Pure: time is passed in, in seconds of any one clock.

One message of a conversation is on its way at a time. So they keep the order in which they were
written also when one of them is refused for a while or its connection breaks (promise 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from libs.client.answers import ANSWER_S
from libs.common.domain.text import clean_content


@dataclass(frozen=True, slots=True)
class Item:
    """A message that is not known to be kept."""

    client_message_id: UUID
    """The same in every try: all tries are one message (promise 4)."""
    conversation_id: UUID
    content: str
    error: str | None = None
    """Why it was refused for good; it waits for `retry` or `remove`."""


@dataclass(frozen=True, slots=True)
class _Try:
    """The message of a conversation that is on its way, or put off."""

    client_message_id: UUID
    again_at: float


class Outbox:
    """`items`, kept by whoever wants them after a restart, make another outbox of the same."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = {item.client_message_id: item for item in items}
        self._flying: dict[UUID, _Try] = {}
        """By conversation."""

    @property
    def items(self) -> tuple[Item, ...]:
        """The oldest first."""
        return tuple(self._items.values())

    def add(self, item: Item) -> None:
        """Raises InvalidContent for what the service would refuse; white space around goes."""
        cleaned = replace(item, content=clean_content(item.content))
        self._items[item.client_message_id] = cleaned

    def take(self, now: float) -> list[Item]:
        """What may be sent now, marked as being on its way: at most one of each conversation.

        What got no answer for ANSWER_S, or was put off until now, is among it again.
        """
        for conversation_id, flying in list(self._flying.items()):
            if flying.again_at <= now:
                del self._flying[conversation_id]
        taken = []
        for item in self._items.values():
            if item.error is None and item.conversation_id not in self._flying:
                self._flying[item.conversation_id] = _Try(item.client_message_id, now + ANSWER_S)
                taken.append(item)
        return taken

    @property
    def due_at(self) -> float | None:
        """When `take` may have something again though nothing else has happened."""
        return min((flying.again_at for flying in self._flying.values()), default=None)

    def is_flying(self, client_message_id: UUID) -> bool:
        """Not: then an ERROR answers an earlier try, of which nothing follows."""
        return any(one.client_message_id == client_message_id for one in self._flying.values())

    def put_off(self, client_message_id: UUID, until: float) -> None:
        """Refused for a while (`retryAfterMs`): nothing of its conversation is sent before."""
        if self.is_flying(client_message_id):
            conversation_id = self._items[client_message_id].conversation_id
            self._flying[conversation_id] = _Try(client_message_id, until)

    def land(self) -> None:
        """The connection ended: what was on its way may be lost or kept, and is sent again."""
        self._flying.clear()

    def fail(self, client_message_id: UUID, error: str) -> Item | None:
        """Refused for good, with this constant. It holds up nobody. Returns it, if it is here."""
        return self._replace(client_message_id, error)

    def retry(self, client_message_id: UUID) -> None:
        """Try again what was refused for good."""
        self._replace(client_message_id, None)

    def remove(self, client_message_id: UUID) -> Item | None:
        """It is kept by the service, or given up. Returns it, if it was here."""
        self._land(client_message_id)
        return self._items.pop(client_message_id, None)

    def _replace(self, client_message_id: UUID, error: str | None) -> Item | None:
        self._land(client_message_id)
        if client_message_id not in self._items:
            return None
        item = replace(self._items[client_message_id], error=error)
        self._items[client_message_id] = item
        return item

    def _land(self, client_message_id: UUID) -> None:
        if self.is_flying(client_message_id):
            del self._flying[self._items[client_message_id].conversation_id]
