"""What supervisord runs, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path


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

    def command_line(self) -> list[str]:
        """What supervisord executes.

        The environment goes through env(1) rather than supervisord's `environment=`, whose parser
        has no way to write a quote; both wrappers replace themselves, so that the child's pid and
        command line are the program's own.
        """
        assignments = [f"{name}={value}" for name, value in self.environment.items()]
        removals = ["-i"] if self.bare else [arg for name in self.without for arg in ("-u", name)]
        return [
            *("setpriv", "--pdeathsig", self.death_signal, *self.privileges, "--"),
            *("env", *removals, *assignments, *self.command),
        ]
