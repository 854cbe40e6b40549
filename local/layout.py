"""Where a stack keeps what."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# sockaddr_un holds 107 bytes, and supervisord first binds `<path>.<pid>`.
LONGEST_SOCKET_PATH = 107 - len(".4194304")


@dataclass(frozen=True)
class Layout:
    """The folders and files of one stack; knows names only and creates nothing."""

    stack: str
    root: Path = ROOT

    @property
    def folder(self) -> Path:
        """All that the stack writes is below this folder."""
        return self.root / ".run" / self.stack

    @property
    def identity(self) -> str:
        """Tells this stack from those of other clones on the machine."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]

    @property
    def logs(self) -> Path:
        """One file a program."""
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        """The database's files."""
        return self.folder / "postgres"

    @property
    def postgres_password(self) -> Path:
        """The password of the database's only user."""
        return self.folder / "postgres-password"

    @property
    def passwords(self) -> Path:
        """By login, those of the roles and of RabbitMQ's and Redis' administrator."""
        return self.folder / "passwords.json"

    @property
    def redis(self) -> Path:
        """Redis's working directory; it persists nothing."""
        return self.folder / "redis"

    @property
    def rabbitmq(self) -> Path:
        """The broker's queues, cookie and configuration."""
        return self.folder / "rabbitmq"

    @property
    def nginx(self) -> Path:
        """The edge's configuration, pid and temporary files."""
        return self.folder / "nginx"

    @property
    def nginx_config(self) -> Path:
        """Rendered from local/nginx.conf at each start and each scaling."""
        return self.nginx / "nginx.conf"

    @property
    def ports(self) -> Path:
        """The ports chosen at the first start."""
        return self.folder / "ports.json"

    @property
    def environment(self) -> Path:
        """The CHAT_* variables of the last start; holds secrets."""
        return self.folder / "environment.json"

    @property
    def role_environments(self) -> Path:
        """By role, the addresses of its servers, with its own logins."""
        return self.folder / "role-environments.json"

    def secrets(self, program: str) -> Path:
        """Variables of a program that the list of processes must not show."""
        return self.folder / "secrets" / program

    @property
    def jwt_secret(self) -> Path:
        """The signing secret, where the caller gave none."""
        return self.folder / "jwt-secret"

    @property
    def start_lock(self) -> Path:
        """Held while the stack is being started."""
        return self.folder / "start.lock"

    @property
    def supervisor_config(self) -> Path:
        """Rendered at each start."""
        return self.folder / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """Written by supervisord."""
        return self.folder / "supervisord.pid"

    @property
    def supervisor_socket(self) -> Path:
        """The control socket; in a private folder of /tmp where the clone's path is too long."""
        path = self.folder / "supervisor.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        return Path(f"/tmp/chat-{os.getuid()}-{self.identity}") / "supervisor.sock"  # noqa: S108

    def log(self, program: str) -> Path:
        """What `program` printed."""
        return self.logs / f"{program}.log"
