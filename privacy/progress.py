"""How far it is, on standard error: a line a second at most."""

import sys
import time
from typing import Final

EACH_S: Final = 1.0


class Progress:
    """Counts what is done."""

    def __init__(self, what: str, expected: int | None = None) -> None:
        self.count = 0
        self._what = what
        self._of = "" if expected is None else f" of {expected}"
        self._began = self._told = time.monotonic()

    def done(self) -> None:
        """One more."""
        self.count += 1
        now = time.monotonic()
        if now - self._told >= EACH_S:
            self._told = now
            say(f"{self.count}{self._of} {self._what}, {self.rate:.0f}/s")

    @property
    def rate(self) -> float:
        """Since the beginning, in 1/s."""
        return self.count / max(time.monotonic() - self._began, 1e-3)


def say(text: str) -> None:
    """For the operator; standard output may be a person's data."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
