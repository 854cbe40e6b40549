"""Shows a person that a start or a stop goes on."""

import os
import sys
import time
from collections.abc import Iterable
from typing import TextIO

# How often a step says that it is still at it where there is no terminal to draw on.
SILENCE_SECONDS = 5.0


class Progress:
    """Prints a line for whatever is done, and keeps the last line moving meanwhile."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._drawn = False
        self._spoke = time.monotonic()

    def done(self, what: str, seconds: float) -> None:
        """Something is finished."""
        self._line(f"✓ {what:<12} {seconds:5.1f} s")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._line(text)

    def waiting(self, doing: str, names: Iterable[str], seconds: float) -> None:
        """Call this often while waiting; it decides what is worth printing."""
        text = f"{doing} {', '.join(names)}, {seconds:.0f} s"
        if self._terminal:
            width = 100
            mark = "|/-\\"[int(time.monotonic() * 5) % 4]
            self._print(f"\r\033[K{mark} {text[:width]}")
            self._drawn = True
        elif time.monotonic() - self._spoke > SILENCE_SECONDS:
            self._line(f"  … {text}")

    def _line(self, text: str) -> None:
        clear = "\r\033[K" if self._drawn else ""
        self._drawn = False
        self._spoke = time.monotonic()
        self._print(f"{clear}{text}\n")

    def _print(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal is gone. What is going on, a stop above all, goes on.
            self._stream = open(os.devnull, "w")  # noqa: PTH123, SIM115


class Silence(Progress):
    """Prints nothing; for tests."""

    def _line(self, text: str) -> None:
        pass

    def waiting(self, doing: str, names: Iterable[str], seconds: float) -> None:
        """Print nothing."""
