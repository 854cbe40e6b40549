"""A TCP proxy of many links that can be cut, silenced, slowed: `python -m tests.chaos.proxy`.

A process of its own, so that what it does to the lines takes no time from the clients. It is told
by JSON lines on stdin, answers each with a line on stdout, and ends with its stdin:

    {"open": "router→redis", "target": 6379}            {"port": 41234}
    {"link": "router→redis", "do": "delay", "s": 0.1}    {"connections": 2}

What is done to a link (`Link.do`) stays so until the next `do`: pass, blackhole, refuse, delay
(`s`, `jitter`), loss (`p`). Done once to the connections there are: cut (RST), silence (`one` of
them, for ever: a half-open connection).
"""

import asyncio
import json
import random
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

HELD_MOST: Final = 256 * 1024
"""Bytes that one direction holds back before it stops reading: TCP's back-pressure goes on."""
RETRANSMISSION_S: Final = (0.2, 1.0)
"""What a lost segment costs: Linux' least time-out, doubled once or twice."""
_RST_AT_CLOSE: Final = struct.pack("ii", 1, 0)


class Link:
    """A listening port that leads to a target."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.lines: set[Line] = set()
        self.is_silent = False
        self.is_refusing = False
        self._delay_s: Callable[[], float] | None = None

    async def listen(self) -> int:
        """The port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Line(self).client, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def delay_s(self) -> float:
        """Of the chunk that came just now; 0 as a rule."""
        return self._delay_s() if self._delay_s else 0.0

    def do(self, what: str, **how: float) -> int:
        """Returns how many connections there are. Raises KeyError for what it doesn't know."""
        if what == "cut":
            for line in tuple(self.lines):
                line.cut()
        elif what == "silence":
            audible = [line for line in self.lines if not line.is_silenced]
            if audible:
                random.choice(audible).silence()
        else:
            self._stay(what, how)
        return len(self.lines)

    def _stay(self, what: str, how: dict[str, float]) -> None:
        slow: dict[str, Callable[[], float] | None] = {
            "pass": None,
            "blackhole": None,
            "refuse": None,
            "delay": lambda: how["s"] + random.uniform(0, how.get("jitter", 0.0)),
            "loss": lambda: (
                random.uniform(*RETRANSMISSION_S) if random.random() < how["p"] else 0.0
            ),
        }
        self._delay_s = slow[what]
        self.is_silent = what == "blackhole"
        self.is_refusing = what == "refuse"
        for line in tuple(self.lines):
            if self.is_refusing:
                line.cut()
            else:
                line.listen_or_not()


class Line:
    """One connection, with its two ends."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.is_silenced = False
        self.client = End(self)
        self.server = End(self)
        self.client.other, self.server.other = self.server, self.client
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The client is there. In a blackhole it waits for the server."""
        self.link.lines.add(self)
        if self.link.is_refusing:
            self.cut()
        else:
            self.listen_or_not()

    def listen_or_not(self) -> None:
        is_silent = self.link.is_silent or self.is_silenced
        if not is_silent and self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        for end in (self.client, self.server):
            end.keep_still(is_silent)

    def silence(self) -> None:
        self.is_silenced = True
        self.listen_or_not()

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.reset()
        self.link.lines.discard(self)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.server, "127.0.0.1", self.link.target)
        except OSError:
            self.cut()
        else:
            self.server.keep_still(self.link.is_silent or self.is_silenced)
            self.client.keep_still(self.link.is_silent or self.is_silenced)


class End(asyncio.Protocol):
    """Reads from one side, and holds what is on its way to the other."""

    other: "End"

    def __init__(self, line: Line) -> None:
        self._line = line
        self._transport: asyncio.Transport | None = None
        self._held: deque[tuple[float, bytes]] = deque()
        """Due times and chunks; an empty one is the end of the stream."""
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reasons: set[str] = set()
        """Why it does not read."""

    # --- what asyncio calls ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self._line.client:
            self._stop("no server")
            self._line.begin()
        else:
            self.other.go_on("no server")

    def data_received(self, data: bytes) -> None:
        self._forward(data)

    def eof_received(self) -> bool:
        self._forward(b"")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self in (self._line.client, self._line.server) and self._line in self._line.link.lines:
            if error is not None:
                self._line.cut()
            elif self.other.is_closing():
                self._line.link.lines.discard(self._line)

    def pause_writing(self) -> None:
        self.other._stop("the other side is full")

    def resume_writing(self) -> None:
        self.other.go_on("the other side is full")

    # --- what the line says ------------------------------------------------------------

    def keep_still(self, is_silent: bool) -> None:
        if is_silent:
            self._stop("silent")
        else:
            self.go_on("silent")
            self._deliver()

    def is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def reset(self) -> None:
        """RST, not FIN."""
        if self._timer:
            self._timer.cancel()
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_AT_CLOSE)
            self._transport.abort()

    def go_on(self, reason: str) -> None:
        self._reasons.discard(reason)
        if not self._reasons and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _stop(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
        self._reasons.add(reason)

    # --- on the way --------------------------------------------------------------------

    def _forward(self, data: bytes) -> None:
        delay_s = self._line.link.delay_s()
        if not delay_s and not self._held and "silent" not in self._reasons:
            self.other._write(data)
            return
        now = asyncio.get_running_loop().time()
        self._held.append((now + delay_s, data))
        self._held_bytes += len(data)
        if self._held_bytes > HELD_MOST:
            self._stop("much is held")
        self._deliver()

    def _deliver(self) -> None:
        """What is due, in order: a late chunk holds up those behind it."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if "silent" in self._reasons:
            return
        loop = asyncio.get_running_loop()
        while self._held:
            due, data = self._held[0]
            if due > loop.time():
                self._timer = loop.call_at(due, self._deliver)
                return
            self._held.popleft()
            self._held_bytes -= len(data)
            self.other._write(data)
        if self._held_bytes <= HELD_MOST:
            self.go_on("much is held")

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if data:
            self._transport.write(data)
        elif self.other.has_ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    @property
    def has_ended(self) -> bool:
        """Whether both directions are through: each side has sent its FIN."""
        return False


async def main() -> None:
    loop = asyncio.get_running_loop()
    links: dict[str, Link] = {}
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
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
