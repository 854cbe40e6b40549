"""A WebSocket client as light as it can be, so that the machine's cores serve the service.

Masked with zeros, no fragments, text frames only: right for a server whose frames are short and
trusted, nothing else.
"""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import Final, cast

_REQUEST: Final = (
    "GET /api/chat/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n"
)
TEXT: Final = 0x81
PING, PONG, CLOSE = 0x89, 0x8A, 0x88


class Connection(asyncio.Protocol):
    """`ready` is done at CONNECT_SUCCESS; `on_text` gets every text frame after it."""

    def __init__(self, host: str, token: str, on_text: Callable[[bytes], None]) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self.close_code: int | None = None
        """What the service closed it with."""
        self._host = host
        self._token = token
        self._on_text = on_text
        self._buffer = b""
        self._open = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.WriteTransport by inheritance.
        self._transport = cast(asyncio.WriteTransport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        request = _REQUEST.format(host=self._host, key=key, token=self._token)
        self._transport.write(request.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"lost before CONNECT_SUCCESS: {exc}"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._open:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head.splitlines()[0]:
                self.ready.set_exception(ConnectionError(head.decode()[:200]))
                self.close()
                return
            self._open = True
        self._buffer = buffer[self._frames(buffer) :]

    @property
    def unsent_bytes(self) -> int:
        """What the kernel would not take yet: the service reads slowly."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, text: bytes) -> None:
        self._write(TEXT, text)

    def stop_reading(self) -> None:
        """For good, as a client does that hangs."""
        if self._transport is not None:
            cast(asyncio.Transport, self._transport).pause_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _frames(self, buffer: bytes) -> int:
        position, end = 0, len(buffer)
        while end - position >= 2:
            size, header = buffer[position + 1], 2
            if size == 126:
                size, header = int.from_bytes(buffer[position + 2 : position + 4], "big"), 4
            elif size == 127:
                size, header = int.from_bytes(buffer[position + 2 : position + 10], "big"), 10
            after = position + header + size
            if after > end:
                break
            self._frame(buffer[position], buffer[position + header : after])
            position = after
        return position

    def _frame(self, first: int, payload: bytes) -> None:
        if first == TEXT:
            if not self.ready.done() and b"CONNECT_SUCCESS" in payload:
                self.ready.set_result(None)
            else:
                self._on_text(payload)
        elif first == PING:
            self._write(PONG, payload)
        elif first == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")

    def _write(self, first: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else bytes((0xFE, size >> 8, size & 255))
        assert self._transport is not None
        self._transport.write(bytes((first,)) + length + b"\0\0\0\0" + payload)
