"""Redis. Besides `resp` the only importer of `redis`."""

import asyncio
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any, Final

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as CacheTimeout
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from libs.common.keys import doubtful_with
from libs.common.resp import SENTINEL_S, Command, RedisConnection
from libs.common.sentinel import Sentinels

CacheError: Final = RedisError
"""Redis is away, slow or refuses; what was sent may or may not have been done."""
CacheRefusal: Final = ResponseError
"""Of these, what it has refused: it is there."""

TIMEOUT_S: Final = 5.0

_TROUBLES: Final = ("OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "NOPERM")
"""In a script's error: Redis' own, whatever the value."""

log = structlog.get_logger()


class Lua:
    """A Lua script on a single key, run by its SHA-1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Cache:
    """An asyncio client whose batches carry any number of commands in one round trip.

    One connection, opened when first needed and again when it was lost. Nothing is retried on a
    time-out: not every command may be done twice. The caller knows which.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: RedisConnection | None = None
        self._opening = asyncio.Lock()

    def batch(self) -> "Batch":
        return Batch(self)

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Their answers, in order; one may be an exception. Raises CacheError."""
        connection: RedisConnection | None = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                connection = await self._open()
                return await connection.ask(commands)
        except TimeoutError as error:
            if connection is not None:
                # It may be half open, and then nobody else would get an answer either.
                connection.abort()
            raise CacheTimeout(f"no answer within {TIMEOUT_S} s") from error
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    async def forget(self, keys: Sequence[str]) -> None:
        """Deletes what can't be read, so nobody stumbles over it again. Raises CacheError."""
        log.error("keys that aren't ours deleted", keys=keys)
        await self.ask([("UNLINK", key) for key in doubtful_with(keys)])

    async def _open(self) -> RedisConnection:
        if self._connection is None or not self._connection.is_open:
            async with self._opening:
                if self._connection is None or not self._connection.is_open:
                    self._connection = await RedisConnection.open(self._url)
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()


class Batch:
    """Commands for one round trip; `run` returns their answers in order.

    Commands run one after the other, but others' may come between (no MULTI).
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._commands: list[Command] = []
        self._scripts: dict[str, Lua] = {}

    def add(self, *command: str | bytes | int) -> None:
        self._commands.append(command)

    def script(self, lua: Lua, key: str, *arguments: str | bytes | int) -> None:
        """Runs `lua` on `key`. It must be safe to run twice: see `run`."""
        self._scripts[lua.sha] = lua
        self._commands.append(("EVALSHA", lua.sha, 1, key, *arguments))

    def __len__(self) -> int:
        """How many commands, and so answers, there are."""
        return len(self._commands)

    async def run(self) -> list[Any]:
        """Raises CacheError. After a restart of Redis the scripts are loaded, all is run again.

        So it is after a key was found to hold what isn't ours: see `_spoiled_keys`.
        """
        if not self._commands:
            return []
        answers = await self._send_twice_at_most()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send_twice_at_most(self) -> list[Any]:
        answers = await self._cache.ask(self._commands)
        lacks_scripts = any(isinstance(answer, NoScriptError) for answer in answers)
        repairs: list[Command] = []
        if lacks_scripts:
            repairs += [("SCRIPT", "LOAD", lua.text) for lua in self._scripts.values()]
        spoiled = _spoiled_keys(map(_key_of, self._commands), answers)
        if spoiled:
            repairs += [("UNLINK", key) for key in doubtful_with(spoiled)]
        if repairs:
            answers = await self._cache.ask([*repairs, *self._commands])
        return answers[len(repairs) :]


def _key_of(command: Command) -> str:
    return str(command[3] if command[0] == "EVALSHA" else command[1])


def _spoiled_keys(keys: Iterable[str], answers: Sequence[Any]) -> list[str]:
    """Those of another type than ours, or over whose value a script has stumbled.

    They are to be deleted, which a cache can bear, while to leave them would stop whoever needs
    them for ever (promise 9).
    """
    spoiled = {key for key, answer in zip(keys, answers, strict=True) if _blames_value(answer)}
    if spoiled:
        log.error("keys that aren't ours deleted", keys=sorted(spoiled))
    return sorted(spoiled)


def _blames_value(answer: object) -> bool:
    if not isinstance(answer, ResponseError):
        return False
    text = str(answer)
    is_of_redis = any(word in text for word in _TROUBLES)
    return "WRONGTYPE" in text or ("user_script" in text and not is_of_redis)


class BlockingCache:
    """A client for the sync REST API's threads; same time-outs, no retries."""

    def __init__(self, url: str) -> None:
        self._redis: Any = _redis(url)

    def run(self, *commands: tuple[str | bytes | int | Lua, ...]) -> list[Any]:
        """Their answers, in order, in one round trip; others' may come between (no MULTI).

        A command that begins with a `Lua` is its script, the key and the arguments. After a
        restart of Redis, and when a key was spoiled, all is run again, so with a script all must
        be safe to run twice. Raises CacheError.
        """
        answers = self._send(commands)
        lacks_scripts = any(isinstance(answer, NoScriptError) for answer in answers)
        if lacks_scripts:
            for command in commands:
                if isinstance(command[0], Lua):
                    self._redis.script_load(command[0].text)
        spoiled = _spoiled_keys((str(part[0]) if part else "" for _, *part in commands), answers)
        for key in spoiled:
            self._redis.unlink(key)  # Refused for what is another role's to mend.
        if lacks_scripts or spoiled:
            answers = self._send(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _send(self, commands: Sequence[tuple[str | bytes | int | Lua, ...]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for name, *arguments in commands:
            if isinstance(name, Lua):
                pipeline.execute_command("EVALSHA", name.sha, 1, *arguments)
            else:
                pipeline.execute_command(name, *arguments)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def close(self) -> None:
        self._redis.close()
        pool = self._redis.connection_pool
        if isinstance(pool, SentinelConnectionPool):
            for sentinel in pool.sentinel_manager.sentinels:
                sentinel.close()


def _redis(url: str) -> Redis:
    """Connects when it is first used, and asks the sentinels each time it connects."""
    once = {"retry": Retry(NoBackoff(), 0)}
    options: dict[str, Any] = once | {
        "decode_responses": False,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
    }
    sentinels = Sentinels.of(url)
    if sentinels is None:
        return Redis.from_url(url, **options)
    login = {"username": sentinels.username, "password": sentinels.password}
    # A sentinel that is away is asked once: redis-py would try for 3.5 s before it asks the next.
    waiting = once | {"socket_timeout": SENTINEL_S, "socket_connect_timeout": SENTINEL_S}
    asked: Any = Sentinel(  # type: ignore[no-untyped-call]
        sentinels.addresses, sentinel_kwargs=login | waiting
    )
    master: Redis = asked.master_for(sentinels.service, db=sentinels.database, **options, **login)
    return master
