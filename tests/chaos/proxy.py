"""A TCP proxy of many links that can be silenced, cut and slowed: `python -m tests.chaos.proxy`.

A process of its own, so that what it does to the lines takes no time from the clients. It is told
by JSON lines on stdin, answers each with a line on stdout, and ends with its stdin:

    {"open": "router-1→redis", "target": 6379}           {"port": 41234}
    {"link": "router-1→redis", "do": "delay", "s": 0.2}  {"connections": 2}

What is done to a link stays so, also for connections that begin meanwhile, until it is told
something else:

pass        all as it comes
blackhole   nothing comes through, neither bytes nor ends of connections. Then all of it comes, in
            order, as TCP would send it again. Who connects meanwhile waits for its first byte.
refuse      connections that there are get an RST, as do those that begin
delay       `s` seconds each way, and up to `jitter` more. Order stays.
loss        each chunk is lost with the probability `p`, and again when it is repeated. What TCP
            makes of that is time: 0.2 s for the first repetition (Linux' shortest), twice as much
            for each further one, and what was sent behind it waits too.

Done once, to the connections that there are:

cut         both ends get an RST
silence     neither end hears of the other again, or of its end: each holds half a connection. What
            is sent into it is acknowledged until the buffers are full.

The kernels on both sides see a peer that acknowledges bytes: TCP's own time-outs (user time-out,
keep-alive) are no subject of this proxy, only those of who speaks over it.
"""

import asyncio
import json
import random
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

CHUNK: Final = 64 * 1024
CHUNKS_HELD: Final = 16
"""How many one direction holds back before it stops reading: TCP's back-pressure goes on."""
REPEATED_AFTER_S: Final = 0.2
_RST_AT_CLOSE: Final = struct.pack("ii", 1, 0)

Chunk = tuple[float, bytes | None]
"""When it is due, by the loop's clock. No bytes: the stream's end; None: its RST."""


class Link:
    """A listening port that leads to a target. Use `listen`, then `do`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_silent = False
        self._is_refusing = False
        self._lines: set[Line] = set()
        self._delay_s: Callable[[], float] | None = None
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """The port, which nobody else has while this process lives."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Listens no more, and resets what there is."""
        if self._server is not None:
            self._server.close()
        for line in self._lines:
            line.cut()

    def delay_s(self) -> float:
        """Of the chunk that came just now."""
        return self._delay_s() if self._delay_s else 0.0

    def do(self, what: str, **how: float) -> int:
        """Returns how many connections it was done to. Raises KeyError for what it doesn't know."""
        lines = [line for line in self._lines if not line.is_silenced]
        if what == "silence":
            for line in lines:
                line.silence()
        elif what == "cut":
            for line in lines:
                line.cut()
        else:
            self._stay(what, how)
            for line in lines:
                if self._is_refusing:
                    line.cut()
                else:
                    line.look()
        return len(lines)

    def _stay(self, what: str, how: dict[str, float]) -> None:
        slow: dict[str, Callable[[], float] | None] = {
            "pass": None,
            "blackhole": None,
            "refuse": None,
            "delay": lambda: how["s"] + random.uniform(0, how.get("jitter", 0.0)),
            "loss": lambda: _repeated_after_s(how["p"]),
        }
        self._delay_s = slow[what]
        self.is_silent = what == "blackhole"
        self._is_refusing = what == "refuse"

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._is_refusing:
            _reset(writer)
            return
        line = Line(self, reader, writer)
        self._lines.add(line)
        try:
            await line.run()
        finally:
            self._lines.discard(line)


class Line:
    """One connection, with its two ends."""

    def __init__(self, link: Link, reader: StreamReader, writer: StreamWriter) -> None:
        self.is_silenced = False
        self._link = link
        self._client = (reader, writer)
        self._writers = [writer]
        self._audible = asyncio.Event()
        self._ended = 0
        """Of the two sides, how many send no more."""
        self._task = asyncio.current_task()
        self.look()

    async def run(self) -> None:
        """Until both sides have ended, or it was cut."""
        try:
            await self._audible.wait()
            server = await asyncio.open_connection("127.0.0.1", self._link.target, limit=CHUNK)
            self._writers.append(server[1])
            async with asyncio.TaskGroup() as tasks:
                for source, sink in ((self._client, server), (server, self._client)):
                    held: asyncio.Queue[Chunk] = asyncio.Queue(CHUNKS_HELD)
                    tasks.create_task(self._take(source[0], held))
                    tasks.create_task(self._bring(held, sink[1]))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            # Nobody listens at the target, one end was reset, or `cut`, the only one who cancels.
            for writer in self._writers:
                _reset(writer)
        else:
            for writer in self._writers:
                writer.close()

    def look(self) -> None:
        """What is let through may have changed."""
        if self.is_silenced and self._ended == 2:
            # Each has given up its half: there is no connection any more.
            self.cut()
        if self._link.is_silent or self.is_silenced:
            self._audible.clear()
        else:
            self._audible.set()

    def silence(self) -> None:
        self.is_silenced = True
        self.look()

    def cut(self) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _take(self, source: StreamReader, held: "asyncio.Queue[Chunk]") -> None:
        now = asyncio.get_running_loop().time
        data: bytes | None
        while True:
            try:
                data = await source.read(CHUNK)
            except OSError:
                data = None
            await held.put((now() + self._link.delay_s(), data))
            if not data:
                self._ended += 1
                self.look()
                return

    async def _bring(self, held: "asyncio.Queue[Chunk]", sink: StreamWriter) -> None:
        """In order: a late chunk holds up those behind it. Raises OSError after an RST."""
        now = asyncio.get_running_loop().time
        while True:
            due, data = await held.get()
            if (early_s := due - now()) > 0:
                await asyncio.sleep(early_s)
            await self._audible.wait()
            if data is None:
                raise ConnectionResetError
            if not data:
                sink.write_eof()
                return
            sink.write(data)
            await sink.drain()


def _repeated_after_s(p: float) -> float:
    """0 for what was not lost."""
    seconds, pause = 0.0, REPEATED_AFTER_S
    while random.random() < p:
        seconds += pause
        pause *= 2
    return seconds


def _reset(writer: StreamWriter) -> None:
    """RST instead of FIN; what was not sent yet is lost."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_AT_CLOSE)
    writer.transport.abort()


async def main() -> None:
    loop = asyncio.get_running_loop()
    links: dict[str, Link] = {}
    reader = StreamReader()
    await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), sys.stdin)
    async for text in reader:
        command: dict[str, Any] = json.loads(text)
        answer: dict[str, int]
        if "open" in command:
            link = links[command["open"]] = Link(command["target"])
            answer = {"port": await link.listen()}
        else:
            link = links[command.pop("link")]
            answer = {"connections": link.do(command.pop("do"), **command)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
