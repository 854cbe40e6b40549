"""Our frames are those that `websockets` would have built."""

import pytest
from websockets.frames import Frame, Opcode

from services.ws_gateway.wire import ping_frame, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_text(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize("size", [0, 4, 125])
def test_ping(size: int) -> None:
    payload = b"x" * size
    assert ping_frame(payload) == Frame(Opcode.PING, payload).serialize(mask=False)
