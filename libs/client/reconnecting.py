"""When to come back (docs/protocol.md, "When the connection ends"). Pure: chance is passed in."""

from dataclasses import dataclass
from typing import Final

from libs.common.protocol.closes import Close

FIRST_S: Final = 0.1
MOST_S: Final = 30.0
CROWDED_S: Final = 5.0
"""Too many connections, or connects: sooner than this nothing will have changed."""

_STATUSES: Final = {401: Close.TOKEN, 408: None, 425: None, 429: Close.TOO_MANY}
"""Of the HTTP statuses from 400 to 499 those that don't say that the client is wrong."""


@dataclass(frozen=True, slots=True)
class End:
    """How a connection, or the try to make one, ended.

    `code` is the close code; None where there was none. `after_s`: RECONNECT, Retry-After or an
    ERROR has asked for so many seconds.
    """

    code: int | None = None
    after_s: float | None = None


def code_of(status: int) -> int | None:
    """The close code that means what this HTTP status of a refused handshake does."""
    wrong = Close.NOT_THE_PROTOCOL if 400 <= status < 500 else None
    return _STATUSES.get(status, wrong)


def may_come_back(code: int | None) -> bool:
    """Whether a connection that was closed with `code` may be tried again as it is.

    Not where the client is wrong (4400), or its token is (4401).
    """
    return code not in (Close.NOT_THE_PROTOCOL, Close.TOKEN)


class Backoff:
    """Pauses that double from FIRST_S to `most_s`, each shortened by up to a half by chance."""

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._next_s = FIRST_S

    def reset(self) -> None:
        """Connected: the next pause is the shortest again."""
        self._next_s = FIRST_S

    def pause_s(self, end: End, chance: float) -> float:
        """Seconds to wait now; `chance` is from 0 to 1."""
        jitter = 0.5 + chance / 2
        pause = self._next_s * jitter
        self._next_s = min(self._next_s * 2, self._most_s)
        if end.code == Close.TOO_MANY:
            return max(end.after_s or 0.0, CROWDED_S * jitter)
        if end.after_s is None:
            return pause
        if end.code == Close.RESTARTING:
            return end.after_s  # its slot: others have theirs
        return max(pause, end.after_s * (1 + chance / 2))


class Reconnecting:
    """Tell it of every connection's beginning and end, in order."""

    def __init__(self, most_s: float = MOST_S) -> None:
        self.wants_fresh_token = False
        """The one before was refused: the next try needs another."""
        self._backoff = Backoff(most_s)
        self._tokens_refused = 0
        """In a row."""

    def connected(self) -> None:
        """CONNECT_SUCCESS came."""
        self.wants_fresh_token = False
        self._tokens_refused = 0
        self._backoff.reset()

    def pause_s(self, end: End, chance: float) -> float | None:
        """Seconds until the next try; None: it is over.

        After 4401 it tries once with a fresh token; a second one in a row is final.
        """
        is_token = end.code == Close.TOKEN
        self._tokens_refused += is_token
        if not may_come_back(end.code) and not (is_token and self._tokens_refused == 1):
            return None
        self.wants_fresh_token = self.wants_fresh_token or is_token
        return self._backoff.pause_s(end, chance)
