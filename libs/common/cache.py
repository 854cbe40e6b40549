"""Redis. The only importer of `redis`."""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final

import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as CacheTimeout
from redis.retry import Retry

CacheError: Final = RedisError
"""Redis is away, slow or refuses; what was sent may or may not have been done."""

TIMEOUT_S: Final = 5.0

log = structlog.get_logger()


class Lua:
    """A Lua script on a single key, run by its SHA-1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Cache:
    """An asyncio connection pool whose batches carry any number of commands in one round trip.

    Nothing is retried on a time-out, unlike redis-py's default: not every command may be done
    twice. The caller knows which.

    The time-out is ours: redis-py's goes through `asyncio.wait_for`, which in Python 3.11 can
    swallow a cancellation, so that a worker would outlive its partition.
    """

    def __init__(self, url: str) -> None:
        self._redis: AsyncRedis = AsyncRedis.from_url(
            url,
            decode_responses=False,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=AsyncRetry(NoBackoff(), 0),
        )

    def batch(self) -> "Batch":
        return Batch(self._redis)

    async def close(self) -> None:
        await self._redis.aclose()


class Batch:
    """Commands for one round trip; `run` returns their answers in order.

    Commands run one after the other, but others' may come between (no MULTI).
    """

    def __init__(self, redis: AsyncRedis) -> None:
        self._redis = redis
        self._commands: list[tuple[Any, ...]] = []
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

        So it is after a key was found to be of another type than ours: it is deleted, which a
        cache can bear, while to leave it would stop whoever needs it for ever (promise 9).
        """
        if not self._commands:
            return []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await self._send_twice_at_most()
        except TimeoutError as error:
            raise CacheTimeout(f"no answer within {TIMEOUT_S} s") from error
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send_twice_at_most(self) -> list[Any]:
        answers = await self._send()
        lacks_scripts = any(isinstance(answer, NoScriptError) for answer in answers)
        if lacks_scripts:
            for lua in self._scripts.values():
                await self._redis.script_load(lua.text)
        spoiled = self._spoiled_keys(answers)
        if spoiled:
            log.error("keys of a wrong type deleted", keys=spoiled)
            await self._redis.unlink(*spoiled)
        return await self._send() if lacks_scripts or spoiled else answers

    def _spoiled_keys(self, answers: Sequence[Any]) -> list[str]:
        keys = {
            str(command[3] if command[0] == "EVALSHA" else command[1])
            for command, answer in zip(self._commands, answers, strict=True)
            if isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer)
        }
        return sorted(keys)

    async def _send(self) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in self._commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class BlockingCache:
    """A client for the sync REST API's threads; same time-outs, no retries."""

    def __init__(self, url: str) -> None:
        self._redis: Any = Redis.from_url(
            url,
            decode_responses=False,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def run(self, *commands: tuple[str | bytes | int | Lua, ...]) -> list[Any]:
        """Their answers, in order, in one round trip; others' may come between (no MULTI).

        A command that begins with a `Lua` is its script, the key and the arguments. After a
        restart of Redis all is run again, so with a script all must be safe to run twice.
        Raises CacheError.
        """
        answers = self._send(commands)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            for command in commands:
                if isinstance(command[0], Lua):
                    self._redis.script_load(command[0].text)
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
