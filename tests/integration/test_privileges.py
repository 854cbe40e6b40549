"""What no role may do, tried with each role's own login at the real servers (decision 0038).

That each may do what it needs, all other tests show: the stack's processes run with these logins.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from libs.common.domain.role import (
    GATEWAY,
    MATCH_SERVICE,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
    login_of,
)
from libs.common.keys import MEMBERS, RATE, RECENT, SESSIONS, STATUS, WARM
from libs.common.topology import (
    DEAD,
    MATCH_CREATED,
    MATCHES_EXCHANGE,
    deliveries,
    events,
    exchange_of,
    writes,
)
from local import environment
from local.layout import Layout
from local.roles import role_of
from migrations.privileges import PRIVILEGES
from tests.integration.watching import House

LAYOUT = Layout(os.environ["CHAT_STACK"])
AT_POSTGRES = (ROUTER, PERSISTER, REST, PRIVACY)


# ------------------------------------------------------------------------ PostgreSQL


@asynccontextmanager
async def database_as(role: str) -> AsyncIterator[asyncpg.Connection]:
    url = environment.of_role(LAYOUT, role)["CHAT_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def test_a_gateway_does_not_know_where_postgresql_is(house: House) -> None:
    assert "CHAT_DATABASE_URL" not in environment.of_role(LAYOUT, GATEWAY)
    for program, pid in house.stack.pids().items():
        found = Path(f"/proc/{pid}/environ").read_bytes()
        role = role_of(program)
        if role is not None:
            assert (b"CHAT_DATABASE_URL=" in found) == role.reads_database, program
            assert f"{login_of(role.name)}:".encode() in found, program


WRITES = (
    "INSERT INTO conversations SELECT * FROM conversations LIMIT 1",
    "UPDATE messages SET status = 'READ'",
    "DELETE FROM messages",
    "TRUNCATE messages",
    "INSERT INTO audit_log (action) VALUES ('nothing')",
    "DROP TABLE messages",
    "CREATE TABLE more ()",
)
NOT_BY = {
    ROUTER: (
        *WRITES,
        "SELECT FROM audit_log",
        "SELECT FROM indexed_messages",
        "SELECT FROM typing_status",
    ),
    REST: (*WRITES, "SELECT FROM audit_log", "SELECT FROM typing_status"),
    PRIVACY: WRITES,
    PERSISTER: (
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER USER",
        "DROP TRIGGER audit_log_append_only ON audit_log",
        "CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE sql AS ''",
        "SET session_replication_role = replica",
        "DELETE FROM messages",
        "DELETE FROM conversations",
        "DROP TABLE messages",
        "CREATE TABLE more ()",
    ),
}


@pytest.mark.parametrize("role", NOT_BY)
async def test_what_is_not_a_roles_to_do_with_the_tables(role: str) -> None:
    async with database_as(role) as database:
        for statement in NOT_BY[role]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.execute(statement)


async def test_a_new_table_is_closed() -> None:
    admin = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    try:
        await admin.execute("CREATE TABLE of_a_release_to_come (secret text)")
        for role in AT_POSTGRES:
            async with database_as(role) as database:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await database.execute("SELECT FROM of_a_release_to_come")
    finally:
        await admin.execute("DROP TABLE of_a_release_to_come")
        await admin.close()


async def test_the_logins_have_what_is_listed_and_nothing_else() -> None:
    admin = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    rows = await admin.fetch(
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE table_schema = 'public' AND grantee LIKE 'chat\\_%'"
    )
    flags = await admin.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND"
        " (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)",
        list(PRIVILEGES),
    )
    await admin.close()
    listed = {
        (login, table, privilege)
        for login, tables in PRIVILEGES.items()
        for table, privileges in tables.items()
        for privilege in privileges.split(", ")
    }
    assert {tuple(row) for row in rows} == listed
    assert flags == []


# -------------------------------------------------------------------------- RabbitMQ


TO_WRITES = exchange_of(writes(0).name)
Deed = Callable[[AbstractChannel], Awaitable[object]]


def consumes(queue: str) -> Deed:
    async def deed(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(no_ack=True, fail=False)

    return deed


def publishes(queue: str, exchange: str = "") -> Deed:
    async def deed(channel: AbstractChannel) -> None:
        message = aio_pika.Message(b"")
        if exchange:
            way = await channel.get_exchange(exchange, ensure=False)
            await way.publish(message, routing_key=queue)
        else:
            await channel.default_exchange.publish(message, routing_key=queue)

    return deed


def declares(queue: str) -> Deed:
    return lambda channel: channel.declare_queue(queue, durable=True)


def deletes(queue: str) -> Deed:
    return lambda channel: channel.queue_delete(queue)


REFUSED: dict[str, tuple[Deed, ...]] = {
    GATEWAY: (
        consumes(writes(0).name),
        consumes(events(0).name),
        consumes(DEAD),
        publishes(writes(0).name),
        publishes(writes(0).name, TO_WRITES),
        publishes(deliveries("another").name),
        publishes(MATCH_CREATED, MATCHES_EXCHANGE),
        declares("chat.events.900"),
        deletes(events(0).name),
    ),
    REST: (
        consumes(writes(0).name),
        consumes(events(0).name),
        publishes(deliveries("gateway").name),
        publishes("chat.replies.another"),
        publishes(DEAD, exchange_of(DEAD)),
        deletes(writes(0).name),
        declares("mine"),
    ),
    PERSISTER: (consumes(events(0).name), consumes(DEAD), deletes(events(0).name)),
    ROUTER: (consumes(DEAD), consumes("chat.deliveries.another"), declares("mine")),
    PRIVACY: (
        consumes(events(0).name),
        publishes(writes(0).name, TO_WRITES),
        consumes(DEAD),
    ),
    MATCH_SERVICE: (
        consumes("chat.matches"),
        publishes(events(0).name),
        publishes(events(0).name, exchange_of(events(0).name)),
        declares("mine"),
    ),
}


@pytest.mark.parametrize("role", REFUSED)
async def test_what_is_not_a_roles_to_do_with_the_queues(role: str) -> None:
    url = environment.of_role(LAYOUT, role)["CHAT_AMQP_URL"]
    assert f"//{login_of(role)}:" in url
    async with await aio_pika.connect(url) as connection:
        done = [number for number, deed in enumerate(REFUSED[role]) if await does(connection, deed)]
    assert done == [], "numbers of what was not refused"


async def does(connection: AbstractConnection, deed: Deed) -> bool:
    channel = await connection.channel()
    try:
        await deed(channel)
    except ChannelAccessRefused:
        return False
    return True


async def test_the_match_service_may_announce_a_match() -> None:
    url = environment.of_role(LAYOUT, MATCH_SERVICE)["CHAT_AMQP_URL"]
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            MATCHES_EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
        )
        # Of a kind that no queue is bound to: nothing comes of it.
        await exchange.publish(aio_pika.Message(b""), routing_key="match.test", mandatory=False)


@pytest.mark.parametrize("login", ["guest:guest", "chat_gateway:guest"])
async def test_nobody_gets_into_rabbitmq_by_a_known_password(login: str) -> None:
    _, _, place = os.environ["CHAT_AMQP_URL"].rpartition("@")
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://{login}@{place}")


# ----------------------------------------------------------------------------- Redis

USER = uuid4()
Command = tuple[str | int, ...]
FOREIGN: dict[str, tuple[Command, ...]] = {
    GATEWAY: (
        ("HGETALL", RECENT(USER)),
        ("GET", WARM(0)),
        ("SET", STATUS(USER), "ONLINE"),
        ("ZADD", RATE("messages", USER), 1, "x"),
        ("EVAL", f"return redis.call('HGETALL', '{RECENT(USER)}')", 1, SESSIONS(USER)),
    ),
    ROUTER: (("ZADD", MEMBERS("persister"), 1, "x"), ("ZCARD", RATE("connects", USER))),
    PERSISTER: (
        ("ZADD", MEMBERS("router"), 1, "x"),
        ("HGETALL", RECENT(USER)),
        ("SET", WARM(0), ""),
    ),
    REST: (
        ("SET", STATUS(USER), "ONLINE"),
        ("SET", WARM(0), ""),
        ("HGETALL", SESSIONS(USER)),
        ("DEL", f"heads:{USER}"),
    ),
    PRIVACY: (("SET", STATUS(USER), "ONLINE"), ("HGETALL", RECENT(USER))),
}
NOBODYS: tuple[Command, ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("SCAN", 0),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("MONITOR",),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "NO", "ONE"),
    ("SUBSCRIBE", "x"),
    ("PUBLISH", "x", "y"),
)


@pytest.mark.parametrize("role", FOREIGN)
async def test_what_is_not_a_roles_to_do_with_the_keys(role: str) -> None:
    async with Redis.from_url(environment.of_role(LAYOUT, role)["CHAT_REDIS_URL"]) as redis:
        assert await redis.ping()
        for command in (*FOREIGN[role], *NOBODYS):
            answer = await said(redis, command)
            assert isinstance(answer, NoPermissionError), (command, answer)


async def said(redis: Redis, command: Command) -> object:
    try:
        return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        return error


async def test_a_script_reaches_no_key_of_others() -> None:
    url = environment.of_role(LAYOUT, GATEWAY)["CHAT_REDIS_URL"]
    async with Redis.from_url(url) as redis:
        sha = await redis.script_load(f"return redis.call('HGETALL', '{RECENT(USER)}')")
        with pytest.raises(ResponseError, match="can't access"):
            await redis.evalsha(sha, 1, SESSIONS(USER))


async def test_nobody_gets_into_redis_without_a_password() -> None:
    _, _, place = os.environ["CHAT_REDIS_URL"].rpartition("@")
    async with Redis.from_url(f"redis://{place}") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


# ------------------------------------------------------------------------------- all


def test_no_secret_is_in_the_list_of_processes(house: House) -> None:
    words = [
        value.rpartition("@")[0].rpartition(":")[2]
        for role in (GATEWAY, *AT_POSTGRES)
        for name, value in environment.of_role(LAYOUT, role).items()
        if name.endswith("_URL") and "@" in value
    ]
    words.append(house.variables["CHAT_JWT_SECRET"])
    configuration = LAYOUT.supervisor_config.read_text()
    assert not [word for word in words if word in configuration]
    for program, pid in house.stack.pids().items():
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [word for word in words if word in arguments], program
    for file in (LAYOUT.passwords, LAYOUT.role_environments, LAYOUT.environment):
        assert file.stat().st_mode & 0o077 == 0
