"""Every role: probes, metrics, settings, graceful stops, logs (DESIGN.md, 4, 5 and 8)."""

import asyncio
import itertools
import json
import signal
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from libs.client.session import Refused
from local import environment
from local.layout import ROOT
from local.roles import GATEWAY, PERSISTER, REST, ROLES, ROUTER, Role, role_of
from tests.integration.conftest import System
from tests.integration.ports import free_port
from tests.integration.talking import (
    Chat,
    chats_everywhere,
    gateway_urls,
    go_on,
    hold_together,
    sent_away,
    talking,
)
from tests.integration.watching import House, until

OWN_METRIC = {
    GATEWAY: "chat_connections",
    ROUTER: "chat_partitions_owned",
    PERSISTER: "chat_partitions_owned",
    REST: "chat_http_seconds_count",
}
COMMANDS = {
    GATEWAY: ("python", "-m", "services.ws_gateway"),
    ROUTER: ("python", "-m", "services.router"),
    PERSISTER: ("python", "-m", "services.persister"),
    REST: ("gunicorn", "-c", "services/rest_api/gunicorn_conf.py", "services.rest_api.wsgi:app"),
}
NEEDED = {
    GATEWAY: ("CHAT_AMQP_URL",),
    ROUTER: ("CHAT_AMQP_URL", "CHAT_DATABASE_URL"),
    PERSISTER: ("CHAT_AMQP_URL", "CHAT_DATABASE_URL"),
    REST: ("CHAT_AMQP_URL", "CHAT_DATABASE_URL"),
}
WRONG = {"CHAT_REDIS_URL": "http://elsewhere", "CHAT_PARTITIONS": "0", "CHAT_LOG_LEVEL": "loud"}
WARNS = """
import warnings
from libs.common import logs
logs.configure("router", "router-1", "info")
warnings.warn("look out")
"""
GRACE_S = 6.0
"""A worker has 4 s to finish what it holds, a gateway 2 s for its clients; and this machine."""


# ------------------------------------------------------------------ the admin port


async def test_every_process_is_live_and_ready_and_counts(system: System, house: House) -> None:
    async with system.rest(uuid4()) as rest:
        await rest.get("/conversations")
    for program in house.stack.admin_ports():
        role = role_of(program)
        assert role is not None
        assert (await house.ask(program, "/livez")).text == "alive\n"
        assert (await house.ask(program, "/readyz")).text == "ready\n"
        metrics = await house.ask(program, "/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert f"\n{OWN_METRIC[role]}" in metrics.text, program
        assert (await house.ask(program, "/")).status_code == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_the_edge_shows_no_admin_port(system: System, path: str) -> None:
    async with httpx.AsyncClient() as anybody:
        for url in (system.edge + path, system.base + path):
            answer = await anybody.get(url)
            assert answer.status_code >= 400, url


# ------------------------------------------------------------------ settings


async def started(role: Role, variables: Mapping[str, str]) -> tuple[int | None, str]:
    """Exit code and what was printed."""
    program, *arguments = COMMANDS[role]
    process = await asyncio.create_subprocess_exec(
        *(f"{sys.prefix}/bin/{program}", *arguments),
        cwd=ROOT,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, printed.decode()


async def test_wrong_and_missing_settings_stop_the_start_and_are_named(house: House) -> None:
    """All of them at once, with exit code 78 (EX_CONFIG), and no value: it may be a secret."""
    known = environment.load(house.stack.layout) | WRONG
    starts = []
    for role in ROLES:
        variables = {name: value for name, value in known.items() if name not in NEEDED[role]}
        starts.append(started(role, variables))
    for role, (code, printed) in zip(ROLES, await asyncio.gather(*starts), strict=True):
        assert code == 78, f"{role.name}: {printed}"
        named = {word.rstrip(":") for word in printed.split() if word.startswith("CHAT_")}
        assert named == {*NEEDED[role], *WRONG}, printed
        assert "Traceback" not in printed


async def test_a_weak_secret_stops_the_start(house: House) -> None:
    variables = environment.load(house.stack.layout) | {"CHAT_JWT_SECRET": "hunter2"}
    starts = (started(role, variables) for role in (GATEWAY, REST))
    for code, printed in await asyncio.gather(*starts):
        assert code == 78
        assert "CHAT_JWT_SECRET" in printed
        assert "hunter2" not in printed


async def test_a_port_that_is_taken_is_named_in_one_log_line(house: House) -> None:
    known = environment.load(house.stack.layout)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own = {"CHAT_LISTEN_PORT": str(free_port()), "CHAT_ADMIN_PORT": str(port)}
        starts = [started(role, known | own) for role in ROLES]
        for code, printed in await asyncio.gather(*starts):
            assert code == 1, printed
            lines = [json.loads(line) for line in printed.splitlines()]
            [line] = [line for line in lines if line["event"] == "can't listen"]
            assert line["address"] == f"127.0.0.1:{port}"


# ------------------------------------------------------------------ graceful stops


async def test_sigterm_of_a_gateway_concerns_its_clients_alone(
    system: System, house: House
) -> None:
    """They get RECONNECT and 1012, and come back; what they said is kept (promises 1 and 10)."""
    own, other = gateway_urls(house)
    async with (
        chats_everywhere(system, [own, own]) as stopped,
        chats_everywhere(system, [other, other]) as untouched,
    ):
        async with talking([*stopped, *untouched]):
            await go_on([*stopped, *untouched], 10)
            pid = house.send("gateway-1", signal.SIGTERM)
            for chat in stopped:
                await is_sent_away(chat)
            await go_on(untouched, 5)
            await house.came_back("gateway-1", since=pid)
            await go_on(stopped, 10)
        await hold_together(system, house, stopped, live="some")
        await hold_together(system, house, untouched, live="all")
        assert all(len(device.sessions) == 1 for chat in untouched for device in chat.devices)


async def is_sent_away(chat: Chat) -> None:
    for device in chat.devices:
        reconnect = await sent_away(device)
        assert reconnect.keys() == {"type", "afterMs", "reason"}
        assert 0 <= reconnect["afterMs"] <= 5_000


async def test_sigterm_of_a_router_and_a_persister_under_load(system: System, house: House) -> None:
    """They finish what they hold and go within seconds; nothing is lost or doubled."""
    programs = ("router-2", "persister-2")
    before = [stops(house, program) for program in programs]
    async with chats_everywhere(system, each=2) as chats:
        async with talking(chats):
            await go_on(chats, 10)
            pids = [house.send(program, signal.SIGTERM) for program in programs]
            for program, pid in zip(programs, pids, strict=True):
                await ends(house, program, pid)
            await go_on(chats, 10)
            for program, pid in zip(programs, pids, strict=True):
                await house.came_back(program, since=pid)
            await go_on(chats, 10)
        await hold_together(system, house, chats)
    assert [stops(house, program) for program in programs] == [count + 1 for count in before]


def stops(house: House, program: str) -> int:
    """How often it said that it ended by itself."""
    return sum(line["event"] == "stopped" for line in lines_of(house, program))


async def ends(house: House, program: str, pid: int) -> None:
    async def is_gone() -> bool:
        return house.stack.pids().get(program) != pid

    await until(is_gone, GRACE_S, f"{program} ends")


# ------------------------------------------------------------------ logs


def lines_of(house: House, program: str) -> list[dict[str, str]]:
    """What a role's process has printed in this run; every line is a JSON object."""
    began = datetime.fromtimestamp(house.stack.layout.supervisor_pid.stat().st_mtime, UTC)
    lines = house.stack.layout.log(program).read_text().splitlines()
    # The file goes on from run to run.
    earlier = itertools.takewhile(lambda line: not _is_since(line, began), lines)
    found = [json.loads(line) for line in lines[len(list(earlier)) :]]
    assert all(isinstance(line, dict) for line in found)
    return found


def _is_since(line: str, began: datetime) -> bool:
    try:
        return datetime.fromisoformat(json.loads(line)["timestamp"]) >= began
    except (ValueError, LookupError, TypeError):
        return False


async def test_logs_are_json_with_ids_and_without_content(system: System, house: House) -> None:
    word = f"secret{uuid4().hex}"
    chat = await Chat.begin(system)
    phone = await chat.devices[0].session()
    await phone.send_message(chat.conversation, word)
    await (await chat.devices[1].session()).expect("MESSAGE_RECEIVED", content=word)
    with pytest.raises(Refused):
        await phone.send_message(chat.conversation, f"{word}\0")
    await phone.send_text('{"type":"SEND_MESSAGE","conversationId":7,"content":"' + word + '"}')
    await phone.send_text(f'{{"{word}')
    await system.history(chat.users[1], chat.conversation)
    await chat.close()
    user = str(chat.users[0])

    async def is_logged() -> bool:
        lines = [line for name in house.programs(GATEWAY) for line in lines_of(house, name)]
        return {"session begins", "session ends"} <= {
            line["event"] for line in lines if line.get("user_id") == user
        }

    await until(is_logged, 5, "the session is in the gateways' logs")
    for program in house.stack.admin_ports():
        for line in lines_of(house, program):
            assert {"timestamp", "level", "event", "role", "instance"} <= line.keys(), line
            assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
            assert line["instance"] == program
    files = [file for file in house.stack.layout.folder.glob("*/*") if file.is_file()]
    spilled = [
        file.name
        for file in files
        if ".log" in file.name and word in file.read_text(errors="replace")
    ]
    assert spilled == []


async def test_a_librarys_warning_is_a_log_line_too() -> None:
    """Whatever a role prints is JSON: a line that is none is lost to whoever collects them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WARNS),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    [line] = [json.loads(line) for line in printed.splitlines()]
    assert (line["level"], line["role"]) == ("warning", "router")
    assert "look out" in line["event"]
