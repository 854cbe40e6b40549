"""What supervisord runs, as data."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

_READ_AND_EXECUTE = '. "$0"; exec "$@"'


class Stage(IntEnum):
    """What is stopped together. The highest first: who takes work in, and at last who stores it."""

    SERVERS = 1
    STORING = 2
    DECIDING = 3
    TAKING_IN = 4


@dataclass(frozen=True)
class Program:
    """One direct child of supervisord."""

    name: str
    stage: Stage
    command: Sequence[str]
    folder: Path
    """The working directory."""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The same, of what the list of processes must not show."""
    without: Sequence[str] = ()
    """Variables of supervisord's environment that the program must not see."""
    bare: bool = False
    """Whether the program gets `environment` alone, nothing of supervisord's."""
    privileges: Sequence[str] = ()
    """Options of setpriv: another user, a capability."""
    stop_signal: str = "TERM"
    death_signal: str = "TERM"
    """What the kernel sends when supervisord itself is killed."""
    stop_seconds: int = 15

    def command_line(self, secrets: Path) -> list[str]:
        """What supervisord executes. `secrets`: where `write_secrets` has put them.

        The environment goes through env(1) rather than supervisord's `environment=`, whose parser
        has no way to write a quote; both wrappers replace themselves, so that the child's pid and
        command line are the program's own.
        """
        assignments = [f"{name}={value}" for name, value in self.environment.items()]
        removals = ["-i"] if self.bare else [arg for name in self.without for arg in ("-u", name)]
        reading = ("sh", "-c", _READ_AND_EXECUTE, str(secrets)) if self.secrets else ()
        return [
            *("setpriv", "--pdeathsig", self.death_signal, *self.privileges, "--"),
            *("env", *removals, *assignments, *reading, *self.command),
        ]

    def write_secrets(self, file: Path) -> None:
        """Only the user may read it."""
        file.unlink(missing_ok=True)
        if self.secrets:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.touch(mode=0o600)
            lines = [f"export {name}={shlex.quote(text)}" for name, text in self.secrets.items()]
            file.write_text("\n".join(lines) + "\n")
