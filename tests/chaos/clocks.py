"""Clocks of single processes that are off, by libfaketime.

The last process of each role runs with it all the time, the others as in production. Which time
it is for a process stands in a file that it looks at every second, so nothing is restarted. Only
the wall clock is off: timers go by the monotonic one, which stays as it is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from local import leftovers
from local.failure import StackError
from local.roles import Counts, Role

LOOKS_EVERY_S: Final = 1.0
_ADDITIONS: Final = Path(__file__).with_name("preloaded")
_SHARED: Final = Path("/dev/shm")
_PREFIXES: Final = ("faketime_shm_", "sem.faketime_sem_")


class Clocks:
    """Use `open_clocks`."""

    def __init__(self, folder: Path, counts: Counts, library: Path) -> None:
        self._folder = folder
        self._counts = counts
        self._library = library

    def program(self, role: Role) -> str:
        """The one of the role whose clock can be set."""
        return self._counts.programs(role)[-1]

    def set(self, program: str, offset_s: int) -> None:
        """Within `LOOKS_EVERY_S` its clock is so much ahead, or behind; 0: right."""
        file = self._folder / program
        new = file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.rename(file)

    def variables(self, role: Role, program: str) -> dict[str, str]:
        """What the program must find in its environment, and a clock that is right."""
        if program != self.program(role):
            return {}
        self.set(program, 0)
        inherited = os.environ.get("PYTHONPATH")
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / program),
            # Of 0 whole seconds: looked at once in each.
            "FAKETIME_CACHE_DURATION": "0",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": f"{_ADDITIONS}:{inherited}" if inherited else str(_ADDITIONS),
        }


@contextmanager
def open_clocks(folder: Path, counts: Counts) -> Iterator[Clocks]:
    """`folder` may be there. Raises StackError when Debian's package is not."""
    # It is not on the loader's path, and its folder is named after the machine.
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
    if library is None:
        raise StackError("libfaketime is missing; local/bootstrap --tests installs it.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield Clocks(folder, counts, library)
    finally:
        _forget_the_killed()


def _forget_the_killed() -> None:
    """A process that is killed leaves libfaketime's semaphore and shared memory behind."""
    for prefix in _PREFIXES:
        for file in _SHARED.glob(f"{prefix}*"):
            pid = file.name.removeprefix(prefix)
            if pid.isdecimal() and not leftovers.is_alive(int(pid)):
                with suppress(OSError):
                    file.unlink()
