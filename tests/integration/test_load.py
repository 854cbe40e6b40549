"""`make load`, as a process of its own against the system under test."""

import asyncio
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from local.layout import ROOT
from tests.integration.conftest import System
from tests.integration.watching import until
from tests.load.failure import Failure
from tests.load.session import Session

SHORT = (
    *("--headless", "--only-summary", "--equal-weights"),
    *("-u", "10", "-r", "10", "-t", "5s", "--pause", "0.2"),
)


async def load(
    host: str, folder: Path, *options: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    files = ("--csv", str(folder / "load"), "--json-file", str(folder / "load"))
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.load", "--host", host, *files, *options],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )


def statistics(folder: Path) -> dict[str, dict[str, Any]]:
    """By name."""
    return {row["name"]: row for row in json.loads((folder / "load.json").read_text())}


async def test_all_that_users_do_is_measured_and_kept(system: System, tmp_path: Path) -> None:
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    before: int = await database.fetchval("select count(*) from messages")
    ended = await load(system.edge.replace("http", "ws"), tmp_path, *SHORT)
    assert ended.returncode == 0, ended.stderr
    rows = statistics(tmp_path)
    measured = {"CONNECT_SUCCESS", "SYNC_RESULT", "MESSAGE_SENT", "MESSAGE_RECEIVED"}
    measured |= {"MESSAGE_READ", "TYPING_START", "/conversations"}
    assert set(rows) == measured
    assert all(row["num_failures"] == 0 for row in rows.values())
    assert rows["/conversations"]["num_requests"] == 5
    assert rows["CONNECT_SUCCESS"]["num_requests"] > 10, "all have connected, some again"
    assert rows["MESSAGE_RECEIVED"]["max_response_time"] > 0
    assert "at most 10\n" in ended.stderr, "open connections"
    acknowledged: int = rows["MESSAGE_SENT"]["num_requests"]

    async def all_are_stored() -> bool:
        count: int = await database.fetchval("select count(*) from messages")
        return count >= before + acknowledged

    await until(all_are_stored, 10, f"{acknowledged} acknowledged messages are in PostgreSQL")
    await database.close()


async def test_failures_are_named_by_the_services_error(system: System, tmp_path: Path) -> None:
    ended = await load(system.edge, tmp_path, *SHORT, CHAT_JWT_SECRET="not the secret " * 4)
    assert ended.returncode == 1, ended.stderr
    failures = csv.DictReader((tmp_path / "load_failures.csv").read_text().splitlines())
    assert {(row["Name"], row["Error"]) for row in failures} == {
        ("/conversations", "TOKEN_INVALID")
    }
    assert set(statistics(tmp_path)) == {"/conversations"}


async def test_a_refused_handshake_is_named_by_the_services_error(system: System) -> None:
    with pytest.raises(Failure, match=r"^TOKEN_INVALID$"):
        await asyncio.to_thread(Session.open, system.socket_url, "no token", print, print)


async def test_another_machine_is_refused(tmp_path: Path) -> None:
    ended = await load("wss://chat.example.org", tmp_path, *SHORT)
    assert ended.returncode == 1
    assert "chat.example.org is another machine" in ended.stderr
    assert not (tmp_path / "load.json").exists()
