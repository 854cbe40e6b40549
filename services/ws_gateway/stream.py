"""A client's socket and `websockets`' Sans-I/O protocol: what handshake and session share.

What is written in one turn of the loop leaves in one system call.
"""

import asyncio
from typing import TYPE_CHECKING

from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from services.ws_gateway.gateway import Gateway


class Stream(asyncio.Protocol):
    """It has no task and no timer of its own: `sweep` watches its clocks, `Gateway` flushes it."""

    __slots__ = (
        "_gateway",
        "_has_written_eof",
        "_outgoing",
        "_protocol",
        "_transport",
        "ended",
        "since",
    )

    def __init__(
        self,
        gateway: "Gateway",
        protocol: ServerProtocol,
        transport: asyncio.Transport | None = None,
    ) -> None:
        """`transport` is None before `connection_made`."""
        self._gateway = gateway
        self._protocol = protocol
        self._transport = transport
        self._outgoing: list[bytes] | None = None
        """This turn's writes; b"" ends the stream."""
        self._has_written_eof = False
        """Then uvloop takes nothing more; the protocol may want to end the stream, too."""
        self.ended = False
        """Closing or closed: nothing more is processed or written."""
        self.since = gateway.loop.time()
        """When the present phase began, in seconds of the loop's clock."""

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._queue_output()
        self.flush()

    def abort(self) -> None:
        """Cuts the connection: what waits to be written is lost."""
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Writes what has been queued in this turn of the loop."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None or self._transport is None or self._transport.is_closing():
            return
        if self._has_written_eof:
            return
        self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        if outgoing[-1] == b"":
            self._has_written_eof = True
            self._transport.write_eof()

    def _queue_output(self) -> None:
        for data in self._protocol.data_to_send():
            self._queue(data)

    def _queue(self, data: bytes) -> None:
        if self._outgoing is None:
            self._outgoing = [data]
            self._gateway.flush_soon(self)
        else:
            self._outgoing.append(data)

    def _mark_ended(self) -> None:
        """The sweep then cuts the connection if the client doesn't end it."""
        self.ended = True
        self.since = self._gateway.loop.time()

    # --- backpressure ----------------------------------------------------------------------

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self, paused_at: float, now: float) -> None:
        """The time in which we did not listen counts for no deadline."""
        self.since = postponed(self.since, paused_at, now)
        if self._transport is not None:
            self._transport.resume_reading()


def postponed(moment: float, paused_at: float, now: float) -> float:
    """`moment`, from which a deadline counts, after a pause from `paused_at` to `now`."""
    return moment + now - max(moment, paused_at)
