"""Who is here: sessions by id, and by user with what they have been told."""

from collections.abc import Sequence
from typing import Generic, TypeVar
from uuid import UUID

from libs.common.protocol.deliveries import ToUser

T = TypeVar("T")


class _User(Generic[T]):
    """A user's sessions on this gateway. Forgotten with the last of them."""

    __slots__ = ("members", "newest")

    def __init__(self) -> None:
        self.members: list[tuple[UUID, T]] = []
        self.newest: dict[UUID, int] | None = None
        """The highest `seq` written, by conversation."""


class Registry(Generic[T]):
    """T is what a session is reached by."""

    def __init__(self) -> None:
        self._sessions: dict[UUID, T] = {}
        self._users: dict[UUID, _User[T]] = {}

    def add(self, user_id: UUID, session_id: UUID, member: T) -> None:
        self._sessions[session_id] = member
        self._users.setdefault(user_id, _User()).members.append((session_id, member))

    def remove(self, user_id: UUID, session_id: UUID) -> bool:
        """Whether it was here."""
        if self._sessions.pop(session_id, None) is None:
            return False
        user = self._users[user_id]
        user.members = [member for member in user.members if member[0] != session_id]
        if not user.members:
            del self._users[user_id]
        return True

    def session(self, session_id: UUID) -> T | None:
        return self._sessions.get(session_id)

    def users(self) -> list[tuple[UUID, list[UUID]]]:
        """All, each with their sessions' ids."""
        return [
            (user_id, [session_id for session_id, _ in user.members])
            for user_id, user in self._users.items()
        ]

    def members(self, user_id: UUID) -> Sequence[T]:
        """All of the user's; none for a stranger."""
        user = self._users.get(user_id)
        return () if user is None else [member for _, member in user.members]

    def recipients(self, entry: ToUser) -> Sequence[T]:
        """Whom to write it to; nobody when the user has had it (a redelivery after a crash)."""
        user = self._users.get(entry.user_id)
        if user is None:
            return ()
        if user.newest is None:
            user.newest = {}
        if entry.seq <= user.newest.get(entry.conversation_id, 0):
            return ()
        user.newest[entry.conversation_id] = entry.seq
        return [
            member for session_id, member in user.members if session_id != entry.except_session_id
        ]
