"""Which of an issuer's keys are known, and when its list is due. Pure.

Times are seconds of any clock that only rises. Keys are whatever the caller can check with.
"""

from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, Generic, TypeVar

REFRESH_S: Final = 300.0
"""How long an issuer must have had a new key in its list before it signs with it, to be sure that
nobody is asked to come again; and how long one that was withdrawn may still be taken."""
COOLDOWN_S: Final = 10.0
"""From one fetch to the next, whatever is asked for: strangers can't make us ask more often."""
STALE_S: Final = 86_400.0
"""Keys that nobody has confirmed for so long are no longer trusted."""
UNKNOWN_MOST: Final = 1_000
"""Ids of keys that aren't in the list and are remembered as such: they are strangers' words."""
KEY_ID_MOST: Final = 256
"""Characters. An id that is longer, and isn't in the list, isn't asked for or remembered."""

K = TypeVar("K")


class Unknown(Enum):
    """Why there is no key."""

    PENDING = auto()
    """The list is being fetched, or should be: ask again in a moment."""
    ABSENT = auto()
    """The issuer's list doesn't have it."""


class Trust(Generic[K]):
    """One issuer's keys, by their id."""

    def __init__(self) -> None:
        self._keys: Mapping[str, K] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._is_wanted = False
        self._strangers: OrderedDict[str, Unknown] = OrderedDict()
        """Ids that weren't in the list, and whether it was fetched since they were asked for."""

    def is_known(self, now: float) -> bool:
        """Whether there is a list that can be trusted."""
        return self._fetched_at is not None and now - self._fetched_at <= STALE_S

    @property
    def is_confirmed(self) -> bool:
        """Whether the issuer answered when it was last asked."""
        return self._fetched_at is not None and self._fetched_at == self._tried_at

    def find(self, key_id: str | None, now: float) -> K | Unknown:
        """A token without `kid` can only mean an issuer's one key."""
        if not self.is_known(now):
            return Unknown.PENDING
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else Unknown.ABSENT
        if (key := self._keys.get(key_id)) is not None:
            return key
        return self._miss(key_id)

    def _miss(self, key_id: str) -> Unknown:
        """The issuer may have begun to use it since we asked: worth one more fetch, not many."""
        if len(key_id) > KEY_ID_MOST:
            return Unknown.ABSENT
        if key_id not in self._strangers:
            if len(self._strangers) >= UNKNOWN_MOST:
                self._strangers.popitem(last=False)
            self._strangers[key_id] = Unknown.PENDING
            self._is_wanted = True
        return self._strangers[key_id]

    def due_in(self, now: float) -> float:
        """Seconds until the list should be fetched; 0 for now."""
        if self._tried_at is None:
            return 0.0
        since = now - self._tried_at
        is_fresh = self.is_confirmed and not self._is_wanted
        return max(0.0, (REFRESH_S if is_fresh else COOLDOWN_S) - since)

    def fetched(self, keys: Mapping[str, K], now: float) -> None:
        """The issuer's list, as it is now."""
        self._keys = keys
        self._fetched_at = self._tried_at = now
        self._is_wanted = False
        self._strangers = OrderedDict.fromkeys(self._strangers, Unknown.ABSENT)

    def failed(self, now: float) -> None:
        """The list can't be had. What we have goes on, for STALE_S."""
        self._tried_at = now
