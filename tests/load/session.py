"""One session of one user, for greenlets.

websockets' threaded client, whose threads are greenlets once locust has patched them: it is the
house's client library already, and an echo costs it 0.8 of the CPU of websocket-client.
"""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from libs.common.protocol.closes import Close
from tests.load.failure import Failure

Frame = dict[str, Any]

ANSWER_S: Final = 15.0
"""Far above any target: who got no answer by then won't get one."""


class Session:
    """Connected and authenticated. `success` is the CONNECT_SUCCESS it began with."""

    def __init__(
        self,
        socket: ClientConnection,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[Failure], None],
    ) -> None:
        """Use `Session.open`."""
        self.is_open = True
        self.success = _decoded(socket.recv(ANSWER_S))
        if self.success["type"] != "CONNECT_SUCCESS":
            raise Failure(self.success.get("error", self.success["type"]))
        self.user_id: str = self.success["userId"]
        self._socket = socket
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._is_leaving = False
        self._asked: tuple[str, str, Frame, Future[Frame]] | None = None

    @classmethod
    def open(
        cls,
        url: str,
        token: str,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[Failure], None],
    ) -> "Session":
        """Returns at CONNECT_SUCCESS. Raises Failure.

        `on_frame` is called with every later frame but the ERRORs that `ask` raises; `on_lost`
        when the connection ends and it was not `close` that ended it.
        """
        try:
            socket = connect(
                url,
                additional_headers={"Authorization": f"Bearer {token}"},
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=ANSWER_S,
                legacy=True,
            )
        except InvalidStatus as error:
            raise refusal(error.response.status_code, error.response.body) from error
        except (OSError, WebSocketException) as error:
            raise Failure(type(error).__name__) from error
        try:
            session = cls(socket, on_frame, on_lost)
        except ConnectionClosed as error:
            raise _closed(error) from error
        except TimeoutError as error:
            socket.close()
            raise Failure("NO_ANSWER") from error
        except BaseException:  # locust's end of a user comes as one
            socket.close()
            raise
        threading.Thread(target=session._read, daemon=True).start()
        return session

    def send(self, kind: str, **fields: object) -> None:
        """One frame. Raises Failure."""
        try:
            self._socket.send(msgspec.json.encode({"type": kind, **fields}).decode())
        except ConnectionClosed as error:
            raise _closed(error) from error

    def ask(self, answer: str, matching: Frame, kind: str, **fields: object) -> Frame:
        """Sends a frame; the frame of type `answer` with what is `matching`. Raises Failure.

        One question at a time.
        """
        answered: Future[Frame] = Future()
        self._asked = (kind, answer, matching, answered)
        try:
            self.send(kind, **fields)
            return answered.result(ANSWER_S)
        except TimeoutError:
            raise Failure("NO_ANSWER") from None
        finally:
            self._asked = None

    def close(self) -> None:
        """Says good-bye with 1000."""
        self._is_leaving = True
        self.is_open = False
        self._socket.close()

    def _read(self) -> None:
        lost: Failure | None = None
        try:
            for text in self._socket:
                self._take(_decoded(text))
        except ConnectionClosed as error:
            lost = _closed(error)
        if self._is_leaving:
            return
        self.is_open = False
        # websockets ends the iteration quietly at 1000 and 1001, which the server sends when it
        # goes: for who wanted to stay it is lost all the same.
        lost = lost or _name_of_close(self._socket.close_code)
        if self._asked is not None:
            with contextlib.suppress(Exception):  # answered in the meantime
                self._asked[3].set_exception(lost)
        self._on_lost(lost)

    def _take(self, frame: Frame) -> None:
        if self._asked is not None:
            kind, answer, matching, answered = self._asked
            refused = frame["type"] == "ERROR" and frame.get("ref", {}).get("type") == kind
            if refused:
                self._asked = None
                answered.set_exception(Failure(frame["error"]))
                return
            if frame["type"] == answer and matching.items() <= frame.items():
                self._asked = None
                answered.set_result(frame)
        self._on_frame(frame)


def refusal(status: int, problem: bytes | bytearray) -> Failure:
    """What an unwanted HTTP response says: its problem's `code`, else its status."""
    try:
        return Failure(msgspec.json.decode(problem)["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return Failure(f"HTTP {status}")


def _decoded(text: str | bytes) -> Frame:
    frame: Frame = msgspec.json.decode(text)
    return frame


def _closed(error: ConnectionClosed) -> Failure:
    return _name_of_close(error.rcvd.code if error.rcvd else None)


def _name_of_close(code: int | None) -> Failure:
    """Such as `closed 4408 TOO_SLOW`."""
    name = Close(code).name if code in set(Close) else ""
    return Failure(f"closed {code or 'without a word'} {name}".strip())
