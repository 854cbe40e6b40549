"""Redis and a sentinel as k8s/base/servers/redis.yaml has them, but on this machine.

Their logins are made by the manifest's own init container and their settings are the manifest's;
what the operator's images add to these is in `CONFIGURATION` and `SENTINEL`.
"""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.manifests.redis_logins import RedisLogins
from tests.manifests.rendered import ROOT

MANIFESTS: dict[str, Any] = {
    one["kind"]: one
    for one in yaml.safe_load_all((ROOT / "k8s/base/servers/redis.yaml").read_text())
}
SERVER, WATCHER = "RedisReplication", "RedisSentinel"
ADDITIONAL = {SERVER: "redis-additional.conf", WATCHER: "redis-sentinel-additional.conf"}
ACL_FILE = "/acl/users.acl"

BOTH = """
port {port}
bind 127.0.0.1
dir {folder}
masterauth "{password}"
requirepass "{password}"
protected-mode yes
include {additional}
"""
CONFIGURATION = BOTH + "repl-diskless-sync-delay 0\n"
SENTINEL = (
    BOTH
    + """
sentinel monitor chat 127.0.0.1 {master} 1
sentinel auth-pass chat "{password}"
sentinel down-after-milliseconds chat 500
sentinel failover-timeout chat 3000
"""
)


def password_of(login: str) -> str:
    """Of one of the manifest's users, as its secret would hold it."""
    return f"the password of {login}"


def make_logins(kind: str, file: Path, passwords: dict[str, str]) -> None:
    """Carries out the init container. Raises CalledProcessError."""
    logins = RedisLogins.of(MANIFESTS[kind])
    command = [part.replace(ACL_FILE, str(file)) for part in logins.command]
    environment = passwords | {"USERS": logins.users, "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=environment, check=True, capture_output=True)


@dataclass
class Watched:
    """Two servers, the second a copy of the first, and a sentinel that watches them."""

    folder: Path
    ports: tuple[int, int]
    sentinel: int
    running: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def url(self, login: str = "default", service: str = "chat") -> str:
        """Nothing listens on the first of the sentinels' ports."""
        user = f"{login}:{quote(password_of(login))}"
        return f"redis+sentinel://{user}@127.0.0.1:1,127.0.0.1:{self.sentinel}/{service}"

    def server(self, port: int, login: str = "default") -> str:
        return f"redis://{login}:{quote(password_of(login))}@127.0.0.1:{port}"

    def start_server(self, port: int, master: int | None = None) -> None:
        """As a copy of `master`, where there is one."""
        arguments = () if master is None else ("--replicaof", "127.0.0.1", str(master))
        self._start(SERVER, port, CONFIGURATION, *arguments)

    def start_sentinel(self) -> None:
        self._start(WATCHER, self.sentinel, SENTINEL, "--sentinel")

    def _start(self, kind: str, port: int, configuration: str, *arguments: str) -> None:
        folder = self.folder / str(port)
        folder.mkdir()
        users, additional = folder / "users.acl", folder / "additional.conf"
        make_logins(kind, users, {name: password_of(name) for name in _names(kind)})
        told = MANIFESTS["ConfigMap"]["data"][ADDITIONAL[kind]]
        additional.write_text(told.replace(ACL_FILE, str(users)))
        file = folder / "redis.conf"
        values = {"port": port, "folder": folder, "additional": additional}
        values |= {"password": password_of("default"), "master": self.ports[0]}
        file.write_text(configuration.format(**values))
        executable = shutil.which("redis-server") or "/usr/bin/redis-server"
        self.running[port] = subprocess.Popen(
            [executable, str(file), *arguments], cwd=folder, stdout=subprocess.DEVNULL
        )

    def stop(self, port: int) -> None:
        process = self.running.pop(port)
        process.kill()
        process.wait()


def _names(kind: str) -> list[str]:
    return list(RedisLogins.of(MANIFESTS[kind]).passwords)
