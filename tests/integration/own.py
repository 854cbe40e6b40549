"""A gateway or REST API beside the stack's: the same servers, settings of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx

from local import environment
from local.layout import ROOT
from local.roles import GATEWAY, REST, Role
from local.stack import Stack
from tests.integration.ports import free_port
from tests.integration.watching import until

START_S = 20.0


@dataclass
class Own:
    """Its process. Use `own_gateway` or `own_rest`."""

    process: asyncio.subprocess.Process
    port: int
    admin: str

    @property
    def url(self) -> str:
        """Where clients of a gateway connect."""
        return f"ws://127.0.0.1:{self.port}/api/chat/ws"

    @property
    def base(self) -> str:
        """Of the REST API."""
        return f"http://127.0.0.1:{self.port}/api/chat"

    async def probe(self, path: str) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(self.admin + path)).text

    async def says(self, readiness: str) -> bool:
        """Whether /readyz says so; not while nobody answers."""
        try:
            return await self.probe("/readyz") == f"{readiness}\n"
        except httpx.TransportError:
            return False

    async def is_ready(self) -> bool:
        return await self.says("ready")

    async def is_stopping(self) -> bool:
        return await self.says("not ready: stopping")

    async def ready(self) -> None:
        await until(self.is_ready, START_S, "the own process is ready")


def own_gateway(stack: Stack, **variables: str) -> AbstractAsyncContextManager[Own]:
    """A keyword is an environment variable; "" takes it away. Wait for `ready`, as a rule."""
    return _own(stack, GATEWAY, (sys.executable, "-m", "services.ws_gateway"), variables)


def own_rest(stack: Stack, **variables: str) -> AbstractAsyncContextManager[Own]:
    """The same."""
    gunicorn = f"{sys.prefix}/bin/gunicorn"
    configuration = ("-c", "services/rest_api/gunicorn_conf.py", "services.rest_api.wsgi:app")
    return _own(stack, REST, (gunicorn, *configuration), variables)


@asynccontextmanager
async def _own(
    stack: Stack, role: Role, command: Sequence[str], given: dict[str, str]
) -> AsyncIterator[Own]:
    """Killed at the end, if it runs then."""
    port, admin = free_port(), free_port()
    ours = {
        "CHAT_INSTANCE": f"own-{port}",
        "CHAT_LISTEN_PORT": str(port),
        "CHAT_ADMIN_PORT": str(admin),
    }
    variables = environment.of_role(stack.layout, role.name) | ours | given
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={name: value for name, value in variables.items() if value}
    )
    try:
        yield Own(process, port, f"http://127.0.0.1:{admin}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
