"""An instance of the REST API with several workers counts as one (issue 6, point 4)."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local import environment
from local.layout import ROOT, Layout
from local.ports import choose_ports
from tests.integration.conftest import System
from tests.integration.watching import until

WORKERS = 3
THREADS = 32
"""CHAT_REST_THREADS by default."""
CALLS = 60
START_S = 30.0


@dataclass(frozen=True)
class Instance:
    """One gunicorn with its workers."""

    master: int
    url: str
    admin: str

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return {int(pid) for pid in children.split()}

    async def is_ready(self) -> bool:
        async with httpx.AsyncClient() as probe:
            try:
                return (await probe.get(f"{self.admin}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    async def metric(self, name: str) -> float:
        """The sum of its samples, as whichever worker answers sees it."""
        async with httpx.AsyncClient() as scraper:
            text = (await scraper.get(f"{self.admin}/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )

    async def call(self, token: str, times: int) -> None:
        """Each on a connection of its own, so that all workers get some."""

        async def one() -> None:
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as caller:
                response = await caller.get(f"{self.url}/api/chat/unread", timeout=30)
                assert response.status_code == 200, response.text

        for _ in range(times // 10):
            await asyncio.gather(*(one() for _ in range(10)))


@asynccontextmanager
async def instance(folder: Path) -> AsyncIterator[Instance]:
    """Beside those of the stack, with the same servers."""
    ports = choose_ports(["service", "admin"], folder / "ports.json", {})
    variables = environment.of_role(Layout(os.environ["CHAT_STACK"]), "rest") | {
        "CHAT_INSTANCE": "rest-of-workers",
        "CHAT_REST_WORKERS": str(WORKERS),
        "CHAT_LISTEN_PORT": str(ports["service"]),
        "CHAT_ADMIN_PORT": str(ports["admin"]),
    }
    process = await asyncio.create_subprocess_exec(
        *(f"{sys.prefix}/bin/gunicorn", "-c", "services/rest_api/gunicorn_conf.py"),
        "services.rest_api.wsgi:app",
        cwd=ROOT,
        env=os.environ | variables,
    )
    here = "http://127.0.0.1"
    rest = Instance(process.pid, f"{here}:{ports['service']}", f"{here}:{ports['admin']}")
    try:
        await until(rest.is_ready, START_S, "the instance is ready")
        yield rest
    finally:
        process.terminate()
        await process.wait()
    assert not _counts_left(ports["admin"])


@pytest.mark.timeout(120)
async def test_all_workers_count_and_a_killed_one_stays_counted(
    system: System, tmp_path: Path
) -> None:
    token = system.token(uuid4())
    async with instance(tmp_path) as rest:

        async def all_are_there() -> bool:
            """The least ready one says whether the instance is."""
            threads = await rest.metric("chat_http_threads")
            return threads == WORKERS * THREADS and await rest.metric("chat_ready") == 1

        await until(all_are_there, START_S, "every worker has begun and is ready")
        await rest.call(token, CALLS)
        # Whichever worker is asked, it knows of all.
        counts = {await rest.metric("chat_http_seconds_count") for _ in range(3 * WORKERS)}
        assert counts == {CALLS}

        killed = min(rest.workers())
        os.kill(killed, signal.SIGKILL)
        await until(lambda: _gone(rest, killed), START_S, "another has taken its place")
        assert await rest.metric("chat_http_seconds_count") == CALLS
        await until(all_are_there, START_S, "the dead one's threads count no more")
        await rest.call(token, CALLS)
        assert await rest.metric("chat_http_seconds_count") == 2 * CALLS
        assert await rest.metric("chat_http_in_progress") == 0


def _counts_left(admin_port: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"chat-rest-{os.getuid()}-{admin_port}"))


async def _gone(rest: Instance, pid: int) -> bool:
    workers = rest.workers()
    return pid not in workers and len(workers) == WORKERS
