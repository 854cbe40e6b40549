"""What was done so lately that it need not be done again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Final

MOST: Final = 10_000
"""Keys that are remembered; of more the oldest are forgotten, and their things done again."""


class Lately:
    """For any thread."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._began: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = Lock()

    def is_first(self, key: Hashable) -> bool:
        """Whether nobody has asked this of `key` in the last seconds; from now on one has."""
        now = self._clock()
        with self._lock:
            if now - self._began.get(key, float("-inf")) < self._seconds:
                return False
            self._began[key] = now
            self._began.move_to_end(key)
            if len(self._began) > MOST:
                self._began.popitem(last=False)
            return True
