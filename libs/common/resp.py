"""One connection to Redis: hiredis packs and parses, nothing stands between it and the event loop.

redis-py takes 8 µs of each command of a pipeline, most of it per-command objects and awaits; this
takes 0.8 (docs/performance.md). It knows no command: what an answer means is the caller's matter.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from libs.common.sentinel import Sentinels

Command = tuple[str | bytes | int, ...]
_pack: Final[Callable[[Command], bytes]] = hiredis.pack_command  # type: ignore[assignment]
"""Its stub says that a command is a tuple of one."""

_LOST: Final = "the connection to Redis is lost"
SENTINEL_S: Final = 1.0
"""For one sentinel's answer; the next one may know."""


class RedisConnection(asyncio.Protocol):
    """Takes any number of requests at a time; Redis answers them in order. Use `open`."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=self._error)
        self._transport: asyncio.Transport | None = None
        self._asked: deque[tuple[int, asyncio.Future[list[Any]]]] = deque()
        """Number of commands, and who waits for so many answers."""
        self._answers: list[Any] = []
        """Of the first of those."""

    @classmethod
    async def open(cls, url: str) -> Self:
        """`redis://`, `rediss://` or `unix://`, as redis-py has it, or `redis+sentinel://`.

        Raises RedisError, OSError.
        """
        sentinels = Sentinels.of(url)
        return await (cls._open_master(sentinels) if sentinels else cls._open(parse_url(url)))

    @classmethod
    async def _open_master(cls, sentinels: Sentinels) -> Self:
        """By the first sentinel that knows one which is a master indeed. Raises RedisError."""
        login: dict[str, Any] = {
            "username": sentinels.username,
            "password": sentinels.password,
        }
        for host, port in sentinels.addresses:
            sentinel = login | {"host": host, "port": port}
            try:
                async with asyncio.timeout(SENTINEL_S):
                    master = await cls._master(sentinels.service, sentinel)
                    return await cls._writable(login | master | {"db": sentinels.database})
            except (OSError, RedisError, TimeoutError):
                continue
        raise ConnectionLost(f"no sentinel knows a master of {sentinels.service}")

    @classmethod
    async def _writable(cls, options: Mapping[str, Any]) -> Self:
        """Just after a failover a sentinel may still name the old one. Raises RedisError."""
        connection = await cls._open(options)
        try:
            [role] = await connection.ask([("ROLE",)])
            if not isinstance(role, list) or role[0] != b"master":
                raise ReadOnlyError("the sentinel named a replica")
        except BaseException:
            connection.abort()
            raise
        return connection

    @classmethod
    async def _master(cls, service: str, sentinel: Mapping[str, Any]) -> dict[str, Any]:
        connection = await cls._open(sentinel)
        try:
            [address] = await connection.ask([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)])
        finally:
            connection.abort()
        if not isinstance(address, list):
            raise ConnectionLost(f"the sentinel knows no {service}")
        return {"host": address[0].decode(), "port": int(address[1])}

    @classmethod
    async def _open(cls, options: Mapping[str, Any]) -> Self:
        loop = asyncio.get_running_loop()
        if "path" in options:
            _, connection = await loop.create_unix_connection(cls, options["path"])
        else:
            tls = options.get("connection_class") is SSLConnection
            context = ssl.create_default_context() if tls else None
            host, port = options.get("host", "localhost"), options.get("port", 6379)
            _, connection = await loop.create_connection(cls, host, port, ssl=context)
        try:
            await connection._greet(options)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _greet(self, options: Mapping[str, Any]) -> None:
        greeting: list[str | bytes | int] = ["HELLO", 3]
        if password := options.get("password"):
            greeting += ["AUTH", options.get("username") or "default", password]
        commands: list[Command] = [tuple(greeting)]
        if database := options.get("db"):
            commands.append(("SELECT", database))
        for answer in await self.ask(commands):
            if isinstance(answer, Exception):
                raise answer

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        """Their answers, in order; one may be a ResponseError. Fails with ConnectionLost.

        Who cancels it takes nothing back: the commands may be carried out.
        """
        asked: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            asked.set_exception(ConnectionLost(_LOST))
            return asked
        self._asked.append((len(commands), asked))
        self._transport.write(b"".join(map(_pack, commands)))
        return asked

    def abort(self) -> None:
        """Ends it at once; who waits fails."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._take(data)
        except hiredis.ProtocolError:
            self.abort()

    def _take(self, data: bytes) -> None:
        self._reader.feed(data)
        # False is no answer of RESP2's, but RESP3 has it: none of our commands gets one.
        while (answer := self._reader.gets()) is not False:
            if not self._asked:
                continue  # a push, which nobody asked for
            self._answers.append(answer)
            count, asked = self._asked[0]
            if len(self._answers) == count:
                self._asked.popleft()
                answers, self._answers = self._answers, []
                if not asked.done():
                    asked.set_result(answers)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        asked, self._asked = self._asked, deque()
        for _, waiting in asked:
            if not waiting.done():
                waiting.set_exception(ConnectionLost(_LOST))

    def _error(self, text: str) -> RedisError:
        if text.startswith("NOSCRIPT"):
            return NoScriptError(text)
        if text.startswith("READONLY"):
            # A master that has become a replica. Whoever asks next finds the new one.
            asyncio.get_running_loop().call_soon(self.abort)
            return ReadOnlyError(text)
        return ResponseError(text)
