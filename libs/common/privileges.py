"""Which role may do what at RabbitMQ and Redis: what it needs, and no more (decision 0038).

Of RabbitMQ's queues who declares, publishes and consumes; of Redis' keys `keys` says it.
PostgreSQL's are in `migrations.privileges`. `make run` gives each role a login with these.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from libs.common import keys, topology
from libs.common.domain.role import (
    GATEWAY,
    ISSUER,
    MATCH_SERVICE,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
)
from libs.common.keys import Key
from libs.common.topology import Queue

# ---------------------------------------------------------------------------- RabbitMQ

_NUMBER: Final = 7
_NAME: Final = "name"
DEFAULT_EXCHANGE: Final = "amq.default"
"""As RabbitMQ calls it in permissions. Who may write to it may publish to any queue."""


@dataclass(frozen=True, slots=True)
class Use:
    """Of all queues of one function of `topology`."""

    queue: Queue
    """One of them: with partition _NUMBER, or of _NAME."""
    declares: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """A regular expression of their names."""
        name = re.escape(self.queue.name)
        return name.replace(str(_NUMBER), r"\d+").replace(_NAME, ".+")


def _each(function: Callable[[int], Queue], **roles: tuple[str, ...]) -> Use:
    return Use(function(_NUMBER), **roles)


def _own(function: Callable[[str], Queue], **roles: tuple[str, ...]) -> Use:
    return Use(function(_NAME), **roles)


USES: Final = (
    _each(
        topology.events,
        declares=(ROUTER,),
        publishes=(GATEWAY, REST, ROUTER, PRIVACY),
        consumes=(ROUTER,),
    ),
    _each(topology.signals, declares=(ROUTER,), publishes=(GATEWAY, REST), consumes=(ROUTER,)),
    # REST for barriers and Index, which pass where the writes do; PRIVACY for barriers: without, an
    # erasure would miss what is on its way.
    _each(
        topology.writes,
        declares=(ROUTER, PERSISTER),
        publishes=(ROUTER, REST, PRIVACY),
        consumes=(PERSISTER,),
    ),
    _own(topology.deliveries, declares=(GATEWAY,), publishes=(ROUTER,), consumes=(GATEWAY,)),
    _own(
        topology.replies,
        declares=(ROUTER, REST, PRIVACY),
        publishes=(ROUTER, PERSISTER),
        consumes=(ROUTER, REST, PRIVACY),
    ),
    Use(topology.matches(), declares=(ROUTER,), publishes=(MATCH_SERVICE,), consumes=(ROUTER,)),
    Use(
        topology.typing(),
        declares=(ROUTER, PERSISTER),
        publishes=(ROUTER,),
        consumes=(PERSISTER,),
    ),
    _own(
        topology.revocations,
        declares=(GATEWAY, REST),
        publishes=(ISSUER,),
        consumes=(GATEWAY, REST),
    ),
    Use(
        topology.dead(),
        declares=(ROUTER, PERSISTER),
        publishes=(GATEWAY, REST, ROUTER, PERSISTER),
    ),
)

EXCHANGES: Final = {
    topology.MATCHES_EXCHANGE: (MATCH_SERVICE,),
    topology.SESSIONS_EXCHANGE: (ISSUER,),
}
"""Exchanges that others besides those who declare a queue bound to it may declare."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """RabbitMQ's three, as regular expressions; of nothing where there is none."""

    configure: str
    write: str
    read: str


def permissions(role: str, uses: Iterable[Use] = USES) -> Permissions:
    """What RabbitMQ asks for: https://www.rabbitmq.com/docs/access-control#authorisation."""
    configure, write, read = set[str](), set[str](), set[str]()
    configure |= {re.escape(name) for name, roles in EXCHANGES.items() if role in roles}
    for use in uses:
        exchange = re.escape(use.queue.exchange or "")
        if role in use.declares:
            configure.add(use.pattern)
            if exchange:  # to bind it
                configure.add(exchange)
                write.add(use.pattern)
                read.add(exchange)
            if "x-dead-letter-exchange" in use.queue.arguments:
                write.add(re.escape(DEFAULT_EXCHANGE))
                read.add(use.pattern)
        if role in use.publishes:
            write.add(exchange or re.escape(DEFAULT_EXCHANGE))
        if role in use.consumes:
            read.add(use.pattern)
    return Permissions(_any_of(configure), _any_of(write), _any_of(read))


def _any_of(patterns: set[str]) -> str:
    return f"^({'|'.join(sorted(patterns))})$" if patterns else "^$"


# ------------------------------------------------------------------------------- Redis

COMMANDS: Final = frozenset(
    (
        *("evalsha", "ping", "role", "script|load", "select", "time"),
        *("del", "exists", "expire", "get", "getex", "mget", "pexpire", "set", "unlink"),
        *("hdel", "hget", "hgetall", "hlen", "hmget", "hset", "sadd", "smembers", "srem"),
        *("zadd", "zcard", "zcount", "zrange", "zrangebyscore", "zrem", "zremrangebyrank"),
        *("zremrangebyscore", "zscore"),
    )
)
"""All that our code and its scripts use. None reaches a key that isn't named (KEYS, FLUSHALL), the
server (CONFIG, DEBUG, ACL, SCRIPT KILL) or other connections (CLIENT, MONITOR)."""

SENTINEL_COMMANDS: Final = ("sentinel|get-master-addr-by-name", "sentinel|masters")
"""What is asked of sentinels: the first by `resp`, the second by redis-py."""

ALL_KEYS: Final = tuple(value for value in vars(keys).values() if isinstance(value, Key))


def key_rules(role: str) -> list[str]:
    """Of Redis' ACL, for the keys of this role."""
    rules: list[str] = []
    for key in ALL_KEYS:
        if role in key.writers:
            rules.append(f"~{_names(key, role)}")
        elif role in key.readers:
            rules.append(f"%R~{_names(key, role)}")
    return rules


def _selectors(role: str) -> list[str]:
    """Of Redis' ACL: a rule beside the others, with keys and commands of its own."""
    names = [f"~{_names(key, role)}" for key in ALL_KEYS if role in key.removers]
    return [f"(+unlink {' '.join(names)})"] if names else []


def _names(key: Key, role: str) -> str:
    parts = ["*"] * key.pattern.count("%s")
    if role in key.first:
        parts[0] = key.first[role]
    return key.pattern % tuple(parts)


def acl(role: str) -> list[str]:
    """The rules of this role's user, but for its password. No channel of pub/sub."""
    rules = key_rules(role)
    if not rules:
        return []
    commands = [f"+{name}" for name in sorted(COMMANDS)]
    return ["resetchannels", *rules, *commands, *_selectors(role)]


def sentinel_acl(role: str) -> list[str]:
    """The same at the sentinels: where the master is, to whoever may use it."""
    return ["resetchannels", *(f"+{name}" for name in SENTINEL_COMMANDS)] if acl(role) else []
