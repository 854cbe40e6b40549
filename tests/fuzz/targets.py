"""What takes bytes of others, each with what must be true for any bytes. They raise if it isn't."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec

from libs.common.domain.heads import head_in, heads_in
from libs.common.domain.text import MAX_CONTENT_CHARACTERS, InvalidContent, clean_content
from libs.common.protocol import codec
from libs.common.protocol.codec import Codec
from libs.common.protocol.errors import REFUSALS
from libs.common.tokens import InvalidToken, Secret, Verifier
from services.rest_api.asked import NotSearchable, alternatives
from services.rest_api.compression import accepts_gzip
from services.rest_api.highlight import Highlighter
from services.rest_api.pages import cursor_of, place_of
from services.rest_api.problems import Problem
from services.ws_gateway.effects import End, Refuse, Write
from services.ws_gateway.handshake import HandshakeRefused, authenticate
from services.ws_gateway.incoming import BadFrame, read_frame
from tests.unit.test_ws_gateway_session import NOW, new_session, open_session

Target = Callable[[bytes], None]

_VERIFIER: Final = Verifier(Secret("a secret of at least 32 characters"), ("HS256",))


def frames(data: bytes) -> None:
    """A text frame is decoded, or refused by one of the table's constants; the session decides."""
    text = data.decode(errors="surrogatepass") if _is_wide(data) else data.decode(errors="replace")
    frame = read_frame(text)
    if isinstance(frame, BadFrame):
        assert frame.error in REFUSALS
    for session in (open_session(), new_session()):
        effects = session.receive(frame, NOW)
        assert effects
        for effect in effects:
            if isinstance(effect, Write | Refuse):
                told = json.loads(effect.frame[effect.frame.index(b'{"') :].decode())
                assert told["type"] != "ERROR" or told["error"] in REFUSALS
            if isinstance(effect, End):
                assert 4400 <= effect.code < 4600


def _is_wide(data: bytes) -> bool:
    """Whether it is UTF-8 but for surrogates, as a JavaScript client might send them."""
    with suppress(UnicodeDecodeError):
        data.decode(errors="surrogatepass")
        return True
    return False


def bodies(coded: Codec[Any]) -> Target:
    """Of one queue's messages: each item is one, or set aside; what is one stays the same."""

    def target(data: bytes) -> None:
        items, malformed = coded.decode(data)
        assert all(part.reason and isinstance(part.body, bytes) for part in malformed)
        assert coded.decode(coded.encode(items)) == (items, [])
        for item in items:
            coded.naming(data, UUID(int=1))
            msgspec.to_builtins(item)

    return target


def matches(data: bytes) -> None:
    with suppress(*codec.UNREADABLE):
        codec.MATCH.decode(data)


def texts(data: bytes) -> None:
    """A message's content is refused, or kept in one form."""
    with suppress(InvalidContent):
        kept = clean_content(data.decode(errors="surrogateescape"))
        assert clean_content(kept) == kept == unicodedata.normalize("NFC", kept)
        assert 0 < len(kept) <= MAX_CONTENT_CHARACTERS
        assert not [one for one in kept if unicodedata.category(one) == "Cc" and one not in "\t\n"]


def searches(data: bytes) -> None:
    """What is asked for becomes regular expressions, which find it where it stands."""
    text = data[:200].decode(errors="replace")
    with suppress(NotSearchable):
        asked = alternatives(text)
        spans = Highlighter(asked).spans(text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)


def tokens(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(InvalidToken):
        raise AssertionError(_VERIFIER.verify(text, 1.0))
    with suppress(HandshakeRefused):
        authenticate([text], [f"bearer.{text}"], _VERIFIER, 1.0)


def addresses(data: bytes) -> None:
    """Cursors and headers of REST."""
    text = data.decode(errors="replace")
    accepts_gzip(text)
    with suppress(Problem):
        place = place_of(text)
        assert place_of(cursor_of(place)) == place


def cached(data: bytes) -> None:
    """What Redis holds is read, or a ValueError says that it isn't ours."""
    with suppress(ValueError):
        assert 0 <= head_in(data) < 10**18
    with suppress(ValueError):
        heads_in({data[:36]: data[36:], data: data})


TARGETS: Final[Mapping[str, Target]] = {
    "frames": frames,
    "events": bodies(codec.EVENTS),
    "signals": bodies(codec.SIGNALS),
    "writes": bodies(codec.WRITES),
    "deliveries": bodies(codec.DELIVERIES),
    "replies": bodies(codec.REPLIES),
    "typing": bodies(codec.TYPING),
    "matches": matches,
    "texts": texts,
    "searches": searches,
    "tokens": tokens,
    "addresses": addresses,
    "cached": cached,
}
