"""That the list of privileges is whole: every queue, every key, every command of ours is in it."""

import inspect
import re
from pathlib import Path
from typing import get_type_hints

import pytest

from libs.common import topology
from libs.common.domain import role as names
from libs.common.domain.role import (
    GATEWAY,
    ISSUER,
    MATCH_SERVICE,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
)
from libs.common.privileges import ALL_KEYS, COMMANDS, USES, acl, permissions, sentinel_acl
from libs.common.topology import Queue
from local import logins, roles
from migrations.privileges import PRIVILEGES

ROOT = Path(__file__).parents[2]
ALL_ROLES = (GATEWAY, ROUTER, PERSISTER, REST, PRIVACY, MATCH_SERVICE, ISSUER)
CALLED = re.compile(
    r"redis\.call\('([A-Z]+)'|\.add\(\s*\"([A-Z]+)\""
    r"|\(\"([A-Z]+)\", (?:[A-Z]+\(|key)|\(\"(ROLE|UNLINK)\""
)
"""A command in a script, in a batch, in what BlockingCache runs, and of the clients themselves."""
BY_CLIENTS = {"evalsha", "script|load", "select", "ping"}


def test_every_queue_is_listed() -> None:
    queues = {
        name
        for name, function in inspect.getmembers(topology, inspect.isfunction)
        if not name.startswith("_") and get_type_hints(function).get("return") is Queue
    }
    listed = {topology.kind_of(use.queue.name) for use in USES}
    assert listed == queues, "add a row to libs.common.privileges.USES"
    for use in USES:
        assert use.declares
        assert use.publishes
        assert re.fullmatch(use.pattern, use.queue.name)
        others = [one for one in USES if one is not use]
        assert not any(re.fullmatch(one.pattern, use.queue.name) for one in others)


def test_every_key_is_somebodys() -> None:
    for key in ALL_KEYS:
        assert key.writers, key.pattern
        named = [*key.writers, *key.readers, *key.removers]
        assert set(named) <= set(ALL_ROLES)
        assert len(named) == len(set(named))
        assert not key.first or key.first.keys() == set(key.writers)


def test_every_command_is_allowed_and_no_other() -> None:
    sources = [file for place in ("libs", "services") for file in (ROOT / place).rglob("*.py")]
    used = {
        next(filter(None, match.groups())).lower()
        for file in sources
        for match in CALLED.finditer(file.read_text())
    }
    assert used | BY_CLIENTS == COMMANDS


@pytest.mark.parametrize("role", [GATEWAY, REST, MATCH_SERVICE, ISSUER, PRIVACY])
def test_who_is_at_the_edge_may_not_publish_where_it_likes(role: str) -> None:
    given = permissions(role)
    for forbidden in ("amq.default", "chat.deliveries.a", "chat.deliveries", "amq.topic"):
        assert not re.search(given.write, forbidden)
    for queue in (topology.events(0), topology.writes(0), topology.dead()):
        assert not re.search(given.read, queue.name)
        assert not re.search(given.configure, queue.name)


def test_a_role_that_is_not_listed_may_do_nothing() -> None:
    given = permissions("nobody")
    assert {given.configure, given.write, given.read} == {"^$"}
    assert acl("nobody") == []
    assert acl(MATCH_SERVICE) == sentinel_acl(MATCH_SERVICE) == []


def test_every_role_has_a_login() -> None:
    assert {role.name for role in roles.ROLES} <= set(ALL_ROLES)
    assert set(ALL_ROLES) == logins.USES.keys()
    at_postgres = {role for role, used in logins.USES.items() if "CHAT_DATABASE_URL" in used}
    assert {names.login_of(role) for role in at_postgres} == PRIVILEGES.keys()
    for role in roles.ROLES:
        assert role.reads_database == (role.name in at_postgres)
