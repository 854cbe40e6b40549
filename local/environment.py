"""The CHAT_* variables of a stack, and what its processes inherit."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import logins, postgres
from local.failure import StackError
from local.layout import Layout

# Of the tools on this machine, not of the service.
TOOLS_ONLY = {"CHAT_STACK", "CHAT_EDGE_URL", "CHAT_PYTHON"}

# Settings of the caller's own servers and clients, which would reach into ours.
FOREIGN = ("PG", "RABBITMQ_", "ERL_", "SUPERVISOR_")

SERVERS = {
    "postgres": "CHAT_DATABASE_URL",
    "redis": "CHAT_REDIS_URL",
    "rabbitmq": "CHAT_AMQP_URL",
}
"""The private servers, and the variable that puts a server of the caller's in place of each."""


def private_servers(environ: Mapping[str, str]) -> set[str]:
    """The servers that the caller did not bring."""
    return {server for server, variable in SERVERS.items() if not environ.get(variable)}


def compose(layout: Layout, environ: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """Every CHAT_* variable of the stack: the caller's, completed with what we start ourselves."""
    given = {name: value for name, value in environ.items() if name.startswith("CHAT_") and value}
    private = private_servers(environ)
    made = {
        "CHAT_ENV": "development",
        # A stop takes 15 s at most, see `Program.stop_seconds`.
        "CHAT_DRAIN_S": "5",
        # The edge: what it says of its clients' addresses is true.
        "CHAT_TRUSTED_PROXIES": "127.0.0.0/8,::1",
        "CHAT_JWT_SECRET": given.get("CHAT_JWT_SECRET") or jwt_secret(layout),
    }
    if "redis" in private:
        made["CHAT_REDIS_URL"] = (
            f"redis://default:{logins.password(layout, logins.ADMIN)}@127.0.0.1:{ports['redis']}/0"
        )
    if "rabbitmq" in private:
        made["CHAT_AMQP_URL"] = (
            f"amqp://{logins.ADMIN}:{logins.password(layout, logins.ADMIN)}"
            f"@127.0.0.1:{ports['rabbitmq']}/"
        )
    if "postgres" in private:
        made["CHAT_DATABASE_URL"] = postgres.database_url(layout, ports["postgres"])
    fixed = {
        "CHAT_STACK": layout.stack,
        "CHAT_PORT": str(ports["edge"]),
        "CHAT_EDGE_URL": f"http://127.0.0.1:{ports['edge']}",
    }
    return made | given | fixed


def jwt_secret(layout: Layout) -> str:
    """The stack's own signing secret, made at the first call."""
    file = layout.jwt_secret
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48) + "\n")
    return file.read_text().strip()


def for_processes(
    layout: Layout, environ: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    """What supervisord and the roles inherit, given the stack's CHAT_* variables."""
    inherited = {
        name: value
        for name, value in environ.items()
        if not name.startswith("CHAT_") and not name.startswith(FOREIGN)
    }
    ours = {name: value for name, value in variables.items() if name not in TOOLS_ONLY}
    return inherited | ours | {"PYTHONUNBUFFERED": "1", "STACK_FOLDER": str(layout.folder)}


def save(layout: Layout, variables: Mapping[str, str]) -> None:
    """Remember the variables for other terminals; only the user may read them."""
    _write(layout.environment, dict(variables))


def save_roles(layout: Layout, by_role: Mapping[str, Mapping[str, str]]) -> None:
    """The same of those that each role has in place of the stack's."""
    _write(layout.role_environments, by_role)


def of_role(layout: Layout, role: str) -> dict[str, str]:
    """What a process of this role finds: no address of a server that is not for it."""
    common = {name: value for name, value in load(layout).items() if name not in SERVERS.values()}
    own: dict[str, dict[str, str]] = json.loads(layout.role_environments.read_text())
    if role not in own:
        raise StackError(f"There is no role {role}, only {', '.join(sorted(own))}.")
    return common | own[role]


def _write(file: Path, content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, indent=2) + "\n")


def load(layout: Layout) -> dict[str, str]:
    """The variables of the last start; raises StackError where there was none."""
    try:
        variables: dict[str, str] = json.loads(layout.environment.read_text())
    except FileNotFoundError:
        raise StackError(
            f"The stack '{layout.stack}' was never started; make run starts it."
        ) from None
    return variables
