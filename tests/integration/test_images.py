"""What each image would hold starts its role by itself, and has nothing of the others'.

There is no Docker here: `container` carries out the Dockerfile's steps in a folder.
"""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from local import environment as environments
from local.layout import Layout
from tests.integration.conftest import System
from tests.integration.container import ROOT, Image
from tests.integration.ports import free_port
from tests.integration.watching import until

ROLES = ("ws_gateway", "router", "persister", "rest_api")
NAMES = dict(zip(ROLES, ("gateway", "router", "persister", "rest"), strict=True))
STARTS_WITHIN_S = 30
ENDS_WITHIN_S = 20


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where another user may look, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="chat-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


TRACED = ("ws_gateway", "router", "persister")
"""Their images can trace: what it takes is a part of them, which CHAT_OTLP_ENDPOINT switches on."""


def direct_dependencies() -> dict[str, set[str]]:
    """Of each image and extra, by the names of distributions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        extra: {re.split(r"[\[<>=;~! ]", name)[0] for name in names}
        for extra, names in project["optional-dependencies"].items()
    }
    tracing = extras.pop("tracing")
    return {extra: names | tracing if extra in TRACED else names for extra, names in extras.items()}


def locked(lock: str) -> dict[str, str]:
    """Each distribution with its version and hashes."""
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text())
    return {entry.partition("==")[0]: entry for entry in entries if "==" in entry}


@pytest.mark.parametrize("role", [*ROLES, "migrations", "privacy"])
def test_a_lock_is_the_part_of_the_whole_that_its_role_needs(role: str) -> None:
    """Else: make role-locks."""
    own, whole = locked(f"requirements/{role}.lock"), locked("requirements.lock")
    assert direct_dependencies()[role] <= own.keys()
    for name, entry in own.items():
        assert entry.strip() == whole[name].strip()


def environment(role: str) -> dict[str, str]:
    """Of a container beside the running system's processes, with the login of its role."""
    names = ["CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL", "CHAT_PARTITIONS"]
    names += ["CHAT_JWT_SECRET"] if role in ("ws_gateway", "rest_api") else []
    found = environments.of_role(Layout(os.environ["CHAT_STACK"]), NAMES[role])
    given = {name: found[name] for name in names if name in found}
    return given | {
        "CHAT_INSTANCE": f"image-{role}",
        "CHAT_LISTEN_HOST": "127.0.0.1",
        "CHAT_LISTEN_PORT": str(free_port()),
        "CHAT_ADMIN_PORT": str(free_port()),
    }


@asynccontextmanager
async def running(image: Image, variables: dict[str, str]) -> AsyncIterator[int]:
    """Its pid, when it is ready by its own probe. Afterwards it must end when it is told to."""
    process = image.start(variables)

    async def is_ready() -> bool:
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        return await asyncio.to_thread(image.is_healthy, variables, "/readyz")

    try:
        await until(is_ready, STARTS_WITHIN_S, "ready")
        yield process.pid
        process.terminate()
        said, _ = await asyncio.to_thread(process.communicate, timeout=ENDS_WITHIN_S)
        assert process.returncode == 0, said.decode()
    finally:
        process.kill()
        process.communicate()


def written_by(user: str, folder: Path) -> str:
    """Files that a user with a number of its own has made; only root's tests have one."""
    if os.geteuid() != 0:
        return ""
    places = [folder, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")]
    find = ["find", *map(str, places), "-user", user]
    return subprocess.run(find, capture_output=True, text=True, check=False).stdout


def open_files(pid: int) -> tuple[str, str]:
    """How many files a process may open, and how many it could give itself."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = re.search(r"Max open files +(\d+) +(\d+)", limits)
    assert line is not None
    return line[1], line[2]


async def works(role: str, variables: dict[str, str], system: System) -> None:
    """What a client sees of it."""
    address = f"127.0.0.1:{variables['CHAT_LISTEN_PORT']}/api/chat"
    user = uuid4()
    if role == "ws_gateway":
        async with await system.open(user, url=f"ws://{address}/ws") as session:
            assert session.user_id == user
    if role == "rest_api":
        headers = {"Authorization": f"Bearer {system.token(user)}"}
        async with httpx.AsyncClient(headers=headers) as client:
            answer = await client.get(f"http://{address}/conversations")
            assert (answer.status_code, answer.json()["items"]) == (200, [])


@pytest.mark.parametrize("role", ROLES)
async def test_an_image_starts_its_role_and_holds_nothing_else(
    role: str, folder: Path, system: System
) -> None:
    image = await asyncio.to_thread(Image.build, role, folder)

    installed = {
        re.sub(r"[-_.]+", "-", path.name.rsplit("-", 2)[0]).lower()
        for path in (image.folder / "packages").glob("*.dist-info")
    }
    assert installed == locked(f"requirements/{role}.lock").keys()
    dependencies = direct_dependencies()
    others = set().union(*(names for extra, names in dependencies.items() if extra != role))
    # What the exporter writes, tests read with the same package.
    exporters = {"opentelemetry-proto"} if role in TRACED else set()
    assert not installed & (others - dependencies[role] - exporters)
    services = {path.name for path in (image.folder / "app/services").iterdir() if path.is_dir()}
    assert services == {role}

    variables = environment(role)
    async with running(image, variables) as pid:
        assert image.is_healthy(variables)
        if role == "ws_gateway":
            soft, hard = open_files(pid)
            assert soft == hard, "a connection is an open file"
        await works(role, variables, system)
    assert not image.is_healthy(variables), "it has ended"
    assert not written_by(image.user.partition(":")[0], folder)


async def test_the_image_of_migrations_makes_the_tables(folder: Path, empty_database: str) -> None:
    image = await asyncio.to_thread(Image.build, "migrations", folder)
    variables = {"CHAT_DATABASE_URL": empty_database}
    for arguments in ((), ("wait",)):
        process = image.start(variables, *arguments)
        said, _ = await asyncio.to_thread(process.communicate, timeout=ENDS_WITHIN_S)
        assert process.returncode == 0, said.decode()
    database = await asyncpg.connect(empty_database)
    assert await database.fetchval("SELECT count(*) FROM messages") == 0
    await database.close()


async def test_the_image_of_privacy_exports_and_erases_nobody(folder: Path) -> None:
    image = await asyncio.to_thread(Image.build, "privacy", folder)
    found = environments.of_role(Layout(os.environ["CHAT_STACK"]), "privacy")
    variables = {name: value for name, value in found.items() if name.startswith("CHAT_")}
    for arguments in ((), ("export", str(uuid4())), ("erase", str(uuid4()))):
        process = image.start(variables, *arguments)
        said, _ = await asyncio.to_thread(process.communicate, timeout=ENDS_WITHIN_S)
        assert process.returncode == 0, said.decode()


def test_the_image_of_the_edge_holds_a_configuration_that_nginx_takes(folder: Path) -> None:
    """Debian's nginx doesn't know `resolve`, nor does anybody here know the names."""
    image = Image.build("edge", folder)
    configuration = image.folder / "etc/nginx/nginx.conf"
    text = configuration.read_text()
    assert "server gateway:8083 resolve" in text
    assert "server rest:8083 resolve" in text
    configuration.write_text(re.sub(r"(gateway|rest):8083 resolve", "127.0.0.1:8083", text))
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"
    command = [nginx, "-t", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
