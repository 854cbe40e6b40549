"""How many searches run at once: so few that other calls always find a connection."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import Final
from uuid import UUID

from services.rest_api.problems import Problem

WAIT_S: Final = 1.0
_RETRY: Final = {"Retry-After": "1"}


class SearchRoom:
    """Of one process, for any thread."""

    def __init__(self, connections: int) -> None:
        """Searches have half of the `connections`, one user's half of that."""
        most = max(1, connections // 2)
        self._of_one: Final = max(1, most // 2)
        self._free: Final = Semaphore(most)
        self._running: Final = Counter[UUID]()
        self._lock: Final = Lock()

    @contextmanager
    def of(self, user_id: UUID) -> Iterator[None]:
        """Raises Problem RATE_LIMITED at once, UNAVAILABLE after WAIT_S."""
        with self._lock:
            # Not waited for: one user's calls would stand in all threads.
            if self._running[user_id] >= self._of_one:
                raise Problem(
                    "RATE_LIMITED", "Too many of your searches run. Wait for one.", headers=_RETRY
                )
            self._running[user_id] += 1
        try:
            if not self._free.acquire(timeout=WAIT_S):
                raise Problem("UNAVAILABLE", "Too many searches run.", headers=_RETRY)
            try:
                yield
            finally:
                self._free.release()
        finally:
            with self._lock:
                self._running[user_id] -= 1
                if not self._running[user_id]:
                    del self._running[user_id]
