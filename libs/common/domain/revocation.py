"""Whose tokens count no more, though they have not run out. Pure.

Times are seconds since 1970.
"""

from collections.abc import ItemsView
from typing import Final
from uuid import UUID

MOST: Final = 100_000
"""What is remembered, 20 MiB. Who has to revoke more than that lets the issuer's key go."""

Subject = UUID | str
"""A user, or a token by its id (`jti`)."""

_USER, _TOKEN = "user:", "token:"


class RevocationList:
    """What was revoked, and when: of a user the newest time, as it covers the earlier ones.

    One thread writes; any reads.
    """

    def __init__(self, *, is_known: bool = True) -> None:
        """`is_known` False: it is still being fetched, so nobody can be let in."""
        self.is_known = is_known
        self._at: dict[Subject, int] = {}
        self._oldest = 0
        """No entry is older."""

    def __len__(self) -> int:
        return len(self._at)

    def items(self) -> ItemsView[Subject, int]:
        return self._at.items()

    def add(self, subject: Subject, at: int) -> bool:
        """Whether that was news."""
        if at <= self._at.get(subject, -1):
            return False
        self._at[subject] = at
        self._oldest = min(self._oldest, at)
        return True

    def refuses(self, user_id: UUID, issued_at: int | None, token_id: str | None) -> bool:
        """Of a user all that was issued until then, and what doesn't say when it was."""
        if not self._at:
            return False
        at = self._at.get(user_id)
        if at is not None and (issued_at is None or issued_at <= at):
            return True
        return token_id is not None and token_id in self._at

    def forget(self, before: int) -> int:
        """Drops what is older, and the oldest beyond MOST; how many those are."""
        if before <= self._oldest and len(self._at) <= MOST:
            return 0
        kept = {subject: at for subject, at in self._at.items() if at >= before}
        too_many = max(0, len(kept) - MOST)
        if too_many:
            newest = sorted(kept.items(), key=lambda item: item[1])[too_many:]
            kept = dict(newest)
        self._at = kept
        self._oldest = min(kept.values(), default=before)
        return too_many


def name_of(subject: Subject) -> str:
    """As Redis has it."""
    return f"{_USER if isinstance(subject, UUID) else _TOKEN}{subject}"


def subject_of(name: bytes) -> Subject:
    """The other way. Raises ValueError where it is no name of ours."""
    text = name.decode()
    if text.startswith(_USER):
        return UUID(text.removeprefix(_USER))
    if text.startswith(_TOKEN):
        return text.removeprefix(_TOKEN)
    raise ValueError(text)
