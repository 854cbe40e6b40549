"""The fault campaign's TCP proxy, over real sockets: each thing that can be done to a link."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter

import pytest

from tests.chaos import proxy
from tests.chaos.links import Links
from tests.chaos.proxy import Link

A_WHILE_S = 0.2
"""Long enough for loopback to bring what it brings."""


@dataclass
class Server:
    """Sends back what it hears."""

    port: int = 0
    accepted: int = 0
    ends: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    """How its connections ended: FIN or RST."""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.accepted += 1
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            self.ends.put_nowait("FIN")
        except ConnectionResetError:
            self.ends.put_nowait("RST")
        finally:
            writer.close()

    async def ended(self) -> str:
        async with asyncio.timeout(5):
            return await self.ends.get()


@dataclass(frozen=True)
class Wire:
    """A link to a server that echoes."""

    link: Link
    server: Server
    port: int
    clients: "list[Client]" = field(default_factory=list)

    async def connect(self) -> "Client":
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@dataclass(frozen=True)
class Client:
    reader: StreamReader
    writer: StreamWriter

    def say(self, text: bytes) -> None:
        self.writer.write(text)

    async def hears(self, text: bytes, within_s: float = 5.0) -> float:
        """Seconds until it did."""
        began = perf_counter()
        async with asyncio.timeout(within_s):
            assert await self.reader.readexactly(len(text)) == text
        return perf_counter() - began

    async def hears_nothing(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(A_WHILE_S):
                heard = await self.reader.read(1)
            pytest.fail(f"heard {heard!r}")

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                await self.reader.read(1)


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    link = Link(listening.sockets[0].getsockname()[1])
    wired = Wire(link, server, await link.listen())
    try:
        yield wired
    finally:
        link.close()
        for client in wired.clients:
            client.writer.transport.abort()
        listening.close()
        # Transports close their sockets a turn of the loop later.
        await asyncio.sleep(0.01)


async def test_passes_bytes_both_ways_and_the_end() -> None:
    async with wire() as wired:
        client = await wired.connect()
        for _ in range(2):
            client.say(b"hello")
            await client.hears(b"hello")
        # What the server sends after the client's FIN comes too: more than buffers hold.
        much = bytes(range(256)) * 16 * 1024
        client.say(much)
        client.writer.write_eof()
        await client.hears(much)
        async with asyncio.timeout(5):
            assert await client.reader.read() == b""
        assert await wired.server.ended() == "FIN"
        client.writer.close()
        await asyncio.sleep(A_WHILE_S)
        assert wired.link.do("pass") == 0, "ended connections are forgotten"


async def test_an_rst_goes_through() -> None:
    async with wire() as wired:
        client = await wired.connect()
        client.say(b"hello")
        await client.hears(b"hello")
        proxy._reset(client.writer)
        assert await wired.server.ended() == "RST"


async def test_a_target_where_nobody_listens_is_an_rst() -> None:
    async with wire() as wired:
        wired.link.target = wired.port + 1 if wired.port < 65535 else 1
        with suppress(ConnectionResetError):
            await (await wired.connect()).is_reset()


async def test_blackhole_holds_everything_and_then_brings_it_in_order() -> None:
    async with wire() as wired:
        old, ended = await wired.connect(), await wired.connect()
        for client in (old, ended):
            client.say(b"hello")
            await client.hears(b"hello")
        assert wired.link.do("blackhole") == 2
        old.say(b"1")
        ended.say(b"bye")
        ended.writer.write_eof()
        new = await wired.connect()
        new.say(b"new")
        await asyncio.gather(*(client.hears_nothing() for client in (old, ended, new)))
        assert wired.server.accepted == 2, "no connection comes through"
        assert wired.server.ends.empty()
        old.say(b"2")
        wired.link.do("pass")
        await old.hears(b"12")
        await ended.hears(b"bye")
        await new.hears(b"new")
        async with asyncio.timeout(5):
            assert await ended.reader.read() == b""


async def test_blackhole_presses_back() -> None:
    async with wire() as wired:
        client = await wired.connect()
        client.say(b"hello")
        await client.hears(b"hello")
        wired.link.do("blackhole")
        much = bytes(64 * 1024 * 1024)
        client.say(much)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.writer.drain()
        wired.link.do("pass")
        await client.hears(much, within_s=30)


async def test_refuse_resets_old_and_new() -> None:
    async with wire() as wired:
        old = await wired.connect()
        old.say(b"hello")
        await old.hears(b"hello")
        wired.link.do("refuse")
        await old.is_reset()
        with suppress(ConnectionResetError):
            await (await wired.connect()).is_reset()
        assert wired.server.accepted == 1
        assert await wired.server.ended() == "RST"
        wired.link.do("pass")
        client = await wired.connect()
        client.say(b"hello")
        await client.hears(b"hello")


async def test_cut_resets_those_that_there_are() -> None:
    async with wire() as wired:
        old = await wired.connect()
        old.say(b"hello")
        await old.hears(b"hello")
        assert wired.link.do("cut") == 1
        await old.is_reset()
        client = await wired.connect()
        client.say(b"hello")
        await client.hears(b"hello")
        assert await wired.server.ended() == "RST"


async def test_silence_leaves_half_connections_for_ever() -> None:
    async with wire() as wired:
        old = await wired.connect()
        old.say(b"hello")
        await old.hears(b"hello")
        assert wired.link.do("silence") == 1
        new = await wired.connect()
        new.say(b"hello")
        await new.hears(b"hello")
        old.say(b"still there?")
        wired.link.do("pass")
        await old.hears_nothing()
        proxy._reset(old.writer)
        await asyncio.sleep(A_WHILE_S)
        assert wired.server.ends.empty(), "the server hears nothing of its client's end"
        assert wired.link.do("pass") == 1, "silenced ones are out of reach"


async def test_delay_keeps_the_order_and_holds_up_nothing_else() -> None:
    async with wire() as wired:
        client = await wired.connect()
        client.say(b"hello")
        await client.hears(b"hello")
        wired.link.do("delay", s=0.1, jitter=0.05)
        began = perf_counter()
        for number in range(50):
            client.say(b"%02d" % number)
            await asyncio.sleep(0.005)
        await client.hears(b"".join(b"%02d" % number for number in range(50)))
        took = perf_counter() - began
        # There and back once, not once for each.
        assert 0.25 + 0.2 <= took < 1.5, took
        wired.link.do("pass")
        client.say(b"hello")
        assert await client.hears(b"hello") < 0.1


async def test_loss_costs_time_and_nothing_else() -> None:
    async with wire() as wired:
        client = await wired.connect()
        wired.link.do("loss", p=0.2)
        took: list[float] = []
        while not took or max(took) < proxy.REPEATED_AFTER_S:
            client.say(b"hello")
            took.append(await client.hears(b"hello", within_s=30))
        assert all(one < 0.1 or one >= proxy.REPEATED_AFTER_S for one in took), took


async def test_the_process_does_as_it_is_told_and_ends_with_its_campaign() -> None:
    async with wire() as wired:
        with Links() as links:
            port = links.open("there", wired.link.target)
            client = await Wire(wired.link, wired.server, port, wired.clients).connect()
            client.say(b"hello")
            await client.hears(b"hello")
            assert links.do("there", "cut") == 1
            await client.is_reset()
            with pytest.raises(KeyError):
                links.do("elsewhere", "cut")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
