"""One process of a role beside those that supervisord runs: changed, and ours to kill."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic

from local import environment as environments
from local.ports import choose_ports
from local.programs import Program
from local.roles import Role, admin_port_name, role_program
from local.stack import Stack
from local.starting import role_check
from local.waiting import failure

READY_S = 30.0
POLL_S = 0.05
MUTANTS = "tests.chaos.mutants"


class Extra:
    """Use `extra`. Nobody starts the process again when it ends, but `restart`."""

    def __init__(
        self, stack: Stack, program: Program, variables: Mapping[str, str], ports: Mapping[str, int]
    ) -> None:
        self.name = program.name
        self.admin_port = ports[admin_port_name(self.name)]
        self.port = ports.get(self.name)
        """Of a gateway or of REST: where it listens, past the edge, which doesn't know it."""
        self._stack = stack
        self._program = program
        self._secrets = stack.layout.secrets(program.name)
        program.write_secrets(self._secrets)
        self._variables = variables
        self._is_ready = role_check(ports, self.name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Returns when it is ready. Raises StackError with the end of its log."""
        self._spawn()
        try:
            await self._ready()
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """SIGKILL, to gunicorn's workers too; returns when the process is gone."""
        if self._process is not None and self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)

    async def restart(self) -> None:
        """SIGKILL, and start anew under the same name."""
        await self.kill()
        await self.start()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the time that supervisord would give it."""
        process = self._process
        if process is None or not self.is_running:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, self._program.stop_seconds)
        except subprocess.TimeoutExpired:
            await self.kill()

    def _spawn(self) -> None:
        # In this thread: the child ends with the thread that made it (setpriv --pdeathsig).
        with self._stack.layout.log(self.name).open("ab") as log:
            self._process = subprocess.Popen(
                self._program.command_line(self._secrets),
                cwd=self._program.folder,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _ready(self) -> None:
        deadline = monotonic() + READY_S
        while not await asyncio.to_thread(self._is_ready):
            if not self.is_running:
                raise failure(self._stack.layout, self.name, f"{self.name} has ended.")
            if monotonic() > deadline:
                raise failure(self._stack.layout, self.name, f"{self.name} is not ready.")
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def extra(stack: Stack, role: Role, name: str, mutant: str | None) -> AsyncIterator[Extra]:
    """One more process of `role`, ready; ended at exit. `name` is its CHAT_INSTANCE and its log's.

    With `mutant` it runs that patch of `mutants`. Raises StackError when it doesn't become ready.
    """
    process = _made(stack, role, name, mutant)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


def _made(stack: Stack, role: Role, name: str, mutant: str | None) -> Extra:
    layout = stack.layout
    names = [admin_port_name(name), *([name] if role.listens else [])]
    ports = choose_ports(names, layout.ports, {})
    servers = environments.of_role(layout, role.name)
    program = role_program(layout, role, name, ports, servers)
    if mutant is not None:
        python = f"{layout.root}/.venv/bin/python"
        # Without the interpreter; gunicorn's is in its first line.
        command = [word for word in program.command if word != python]
        program = replace(program, command=(python, "-m", MUTANTS, mutant, *command))
    variables = environments.for_processes(layout, os.environ, stack.environment())
    return Extra(stack, program, variables, ports)
