"""A login for each role at the private servers, with what `libs.common.privileges` grants it."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from libs.common import privileges
from libs.common.domain.role import (
    GATEWAY,
    ISSUER,
    MATCH_SERVICE,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
    login_of,
)
from local.layout import Layout

ADMIN: Final = "chat"
"""Of RabbitMQ; of Redis it is `default`, of PostgreSQL `postgres.USER`. For tests and tools."""

USES: Final[Mapping[str, tuple[str, ...]]] = {
    GATEWAY: ("CHAT_AMQP_URL", "CHAT_REDIS_URL"),
    ROUTER: ("CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL"),
    PERSISTER: ("CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL"),
    REST: ("CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL"),
    PRIVACY: ("CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL"),
    MATCH_SERVICE: ("CHAT_AMQP_URL",),
    ISSUER: ("CHAT_AMQP_URL",),
}
"""The servers that a role has a login at."""


def password(layout: Layout, login: str) -> str:
    """Made at the first call."""
    known = json.loads(layout.passwords.read_text()) if layout.passwords.exists() else {}
    if login not in known:
        known[login] = secrets.token_hex(16)
        layout.passwords.parent.mkdir(parents=True, exist_ok=True)
        layout.passwords.touch(mode=0o600)
        layout.passwords.write_text(json.dumps(known, indent=2) + "\n")
    return str(known[login])


def at(layout: Layout, variable: str) -> dict[str, str]:
    """By login, its password, of the server which that variable names."""
    names = [login_of(role) for role, used in USES.items() if variable in used]
    return {name: password(layout, name) for name in names}


def role_variables(
    layout: Layout, variables: Mapping[str, str], private: set[str], servers: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """By role, the addresses of its servers. Of a server of the caller's, as it was given.

    `servers`: the variable of each server; `private`: those that are ours.
    """
    ours = {servers[server] for server in private}

    def address(role: str, variable: str) -> str:
        if variable not in ours:
            return variables[variable]
        return _as(login_of(role), password(layout, login_of(role)), variables[variable])

    return {role: {name: address(role, name) for name in used} for role, used in USES.items()}


def _as(login: str, word: str, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{login}:{word}@{parts.hostname}:{parts.port}").geturl()


def rabbitmq_definitions(layout: Layout) -> dict[str, Any]:
    """All users of the broker and their permissions; RabbitMQ takes them at each start."""
    roles = [role for role, used in USES.items() if "CHAT_AMQP_URL" in used]
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            _user(ADMIN, password(layout, ADMIN), "administrator"),
            # Whoever has run an earlier release has it, with the password that everybody knows.
            {"name": "guest", "password_hash": "", "tags": ""},
            *(_user(name, word, "") for name, word in at(layout, "CHAT_AMQP_URL").items()),
        ],
        "permissions": [
            _permission(ADMIN, privileges.Permissions(".*", ".*", ".*")),
            *(_permission(login_of(role), privileges.permissions(role)) for role in roles),
        ],
    }


def _user(name: str, word: str, tags: str) -> dict[str, str]:
    salt = secrets.token_bytes(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + word.encode()).digest())
    return {
        "name": name,
        "password_hash": digest.decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


def _permission(user: str, granted: privileges.Permissions) -> dict[str, str]:
    return {"user": user, "vhost": "/", **asdict(granted)}


def redis_users(layout: Layout) -> str:
    """Redis' ACL file."""
    lines = [_redis_user("default", password(layout, ADMIN), ["~*", "&*", "+@all"])]
    for role, used in USES.items():
        if "CHAT_REDIS_URL" in used:
            name = login_of(role)
            lines.append(_redis_user(name, password(layout, name), privileges.acl(role)))
    return "\n".join(lines) + "\n"


def _redis_user(name: str, word: str, rules: list[str]) -> str:
    digest = hashlib.sha256(word.encode()).hexdigest()
    return " ".join(["user", name, "reset", "on", f"#{digest}", *rules])
