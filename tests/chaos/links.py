"""The lines between the roles and the servers: each leads through the proxy."""

import json
import subprocess
import sys
from collections.abc import Mapping
from threading import Lock
from typing import Any, Self
from urllib.parse import urlsplit

from local import environment
from local.layout import ROOT
from local.roles import Role


class Links:
    """The proxy's process, from `with` on until the end of the block.

    Whatever becomes of this process, the other ends with it. All may be called in any thread: an
    answer takes no longer than a local process needs to wake up.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._one_at_a_time = Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for us: the stack is stopped before its lines are taken away.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Its end of file is the order to end.
        self._process.communicate()

    def open(self, name: str, target: int) -> int:
        """The port at which a link to the target begins."""
        self._names.add(name)
        return int(self._ask(open=name, target=target)["port"])

    def do(self, name: str, what: str, **how: float) -> int:
        """See `tests.chaos.proxy`. How many connections it was done to. KeyError: no such link."""
        if name not in self._names:
            raise KeyError(name)
        return int(self._ask(link=name, do=what, **how)["connections"])

    def detours(self, role: Role, program: str, variables: Mapping[str, str]) -> dict[str, str]:
        """The URLs by which this program reaches the servers: for `Stack.start`."""
        found: dict[str, str] = {}
        for server in servers_of(role):
            variable = environment.SERVERS[server]
            url = urlsplit(variables[variable])
            assert url.port is not None, "only our own servers"
            port = self.open(link_name(program, server), url.port)
            found[variable] = url._replace(
                netloc=url.netloc.removesuffix(str(url.port)) + str(port)
            ).geturl()
        return found

    def _ask(self, **command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer


def servers_of(role: Role) -> list[str]:
    """Those that it speaks to."""
    return [name for name in environment.SERVERS if name != "postgres" or role.reads_database]


def link_name(program: str, server: str) -> str:
    return f"{program}→{server}"
