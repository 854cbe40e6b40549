"""compose.yaml: each role's login at each server, with what it may do on one machine too."""

import json
import re
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import pytest

from libs.common.domain.role import (
    GATEWAY,
    ISSUER,
    MATCH_SERVICE,
    PERSISTER,
    REST,
    ROUTER,
    login_of,
)
from libs.common.privileges import acl, permissions
from local.logins import USES
from tests.manifests.compose_file import COMPOSE, SERVICES, config, interpolated, password
from tests.manifests.redis_logins import DEFAULT
from tests.manifests.rendered import ROOT

ROLES = (GATEWAY, ROUTER, PERSISTER, REST)
AT_RABBITMQ = (*ROLES, MATCH_SERVICE, ISSUER)
ADDRESS = re.compile(r"CHAT_(AMQP|REDIS|DATABASE)_URL")


def mounted(service: str, source: str) -> str:
    """Where a config lies in the container."""
    [target] = [one["target"] for one in SERVICES[service]["configs"] if one["source"] == source]
    return str(target)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_its_own_login_at_its_servers_and_no_others(role: str) -> None:
    environment = SERVICES[role]["environment"]
    addresses = {name: value for name, value in environment.items() if ADDRESS.fullmatch(name)}
    assert addresses.keys() == set(USES[role])
    for address in addresses.values():
        parts = urlsplit(interpolated(address))
        assert (parts.username, parts.password) == (login_of(role), password(role))
    named = set(re.findall(r"\$\{(CHAT_\w+_PASSWORD)", str(SERVICES[role])))
    assert named == {f"CHAT_{role.upper()}_PASSWORD"}


def test_redis_users_are_those_of_the_list() -> None:
    users: dict[str, str] = {}
    for line in config("redis-users").splitlines():
        user, name, reset, on, word, rules = line.split(" ", 5)
        assert (user, reset, on) == ("user", "reset", "on")
        login = "admin" if name == "default" else name.removeprefix("chat_")
        assert word == f">{password(login)}"
        users[name] = rules
    assert users == {"default": DEFAULT} | {login_of(role): " ".join(acl(role)) for role in ROLES}
    command = SERVICES["redis"]["command"]
    assert command[command.index("--aclfile") + 1] == mounted("redis", "redis-users")


def test_rabbitmq_users_and_permissions_are_those_of_the_list() -> None:
    definitions: dict[str, Any] = json.loads(config("rabbitmq-definitions"))
    every = {"configure": ".*", "write": ".*", "read": ".*"}
    assert definitions == {
        "vhosts": [{"name": "/"}],
        "users": [
            {"name": "chat", "password": password("admin"), "tags": "administrator"},
            *(
                {"name": login_of(role), "password": password(role), "tags": ""}
                for role in AT_RABBITMQ
            ),
        ],
        "permissions": [
            {"user": "chat", "vhost": "/"} | every,
            *(
                {"user": login_of(role), "vhost": "/"} | asdict(permissions(role))
                for role in AT_RABBITMQ
            ),
        ],
    }
    taken = f"load_definitions = {mounted('rabbitmq', 'rabbitmq-definitions')}"
    assert taken in config("rabbitmq").splitlines()
    assert "RABBITMQ_DEFAULT_USER" not in SERVICES["rabbitmq"].get("environment", {})


def test_postgresql_makes_a_login_for_each_role_that_has_tables() -> None:
    made = [
        re.fullmatch(r"CREATE ROLE (\w+) LOGIN PASSWORD '([\w-]+)';", line)
        for line in config("postgres-logins").splitlines()
    ]
    assert {one[1]: one[2] for one in made if one} == {
        login_of(role): password(role) for role in ROLES if "CHAT_DATABASE_URL" in USES[role]
    }
    assert None not in made
    assert mounted("postgres", "postgres-logins").startswith("/docker-entrypoint-initdb.d/")


def test_no_password_is_one_that_everybody_knows_nor_an_argument() -> None:
    for name, service in SERVICES.items():
        assert "PASSWORD" not in str(service.get("command", "")), name
        for variable, value in service.get("environment", {}).items():
            for word in re.findall(r"//[^@/]*:([^@/]*)@", interpolated(value)):
                assert word.startswith("of-"), f"{name}: {variable}"
            assert "PASSWORD" not in variable or value.startswith("${"), f"{name}: {variable}"


def test_every_secret_is_asked_for_and_made_by_the_command_at_the_top() -> None:
    text = (ROOT / "compose.yaml").read_text()
    logins = re.search(r"for login in ([A-Z_ ]+); do", text)
    assert logins
    asked = {
        name for name in re.findall(r"\$\{(\w+):\?", str(COMPOSE)) if name != "CHAT_JWT_SECRET"
    }
    named = set(re.findall(r"\$\{(CHAT_\w+_PASSWORD)", str(COMPOSE)))
    assert asked == named == {f"CHAT_{login}_PASSWORD" for login in logins[1].split()}
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()
