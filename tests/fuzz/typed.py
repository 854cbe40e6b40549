"""The same targets with messages made from the types, so that most get past the decoders."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from libs.common.protocol.deliveries import Delivery
from libs.common.protocol.events import Event, Signal
from libs.common.protocol.frames import ClientFrame
from libs.common.protocol.replies import Reply
from libs.common.protocol.writes import Typing, Write
from tests.fuzz.targets import TARGETS
from tests.fuzz.values import arrays, objects

UNIONS: Final[Mapping[str, Any]] = {
    "events": Event,
    "signals": Signal,
    "writes": Write,
    "deliveries": Delivery,
    "replies": Reply,
    "typing": Typing,
}


@given(sent=objects(ClientFrame), cut=st.integers(0, 9))
def _frames(sent: dict[str, Any], cut: int) -> None:
    """Whole, as JavaScript escapes it and as UTF-8, and cut off."""
    text = json.dumps(sent)
    TARGETS["frames"](text.encode())
    TARGETS["frames"](json.dumps(sent, ensure_ascii=False).encode(errors="surrogatepass"))
    TARGETS["frames"](text[: len(text) * cut // 10].encode())


def _bodies(name: str) -> Callable[[], None]:
    @given(body=arrays(UNIONS[name]), cut=st.integers(0, 9))
    def typed(body: bytes, cut: int) -> None:
        TARGETS[name](body)
        TARGETS[name](body[: len(body) * cut // 10])

    return typed


TYPED: Final[Mapping[str, Any]] = {"frames": _frames, **{name: _bodies(name) for name in UNIONS}}
"""hypothesis' tests: call one, or give its `hypothesis.fuzz_one_input` bytes."""
