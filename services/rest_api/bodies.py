"""JSON in and out of a call."""

from typing import Final, TypeVar

import falcon
import msgspec

from libs.common.protocol.codec import UNREADABLE
from services.rest_api.problems import Problem

MOST_BYTES: Final = 64 * 1024
"""The same bound as a WebSocket frame's."""

T = TypeVar("T")


def answer(response: falcon.Response, body: msgspec.Struct) -> None:
    """Answers with one of the contract's types; the status stays 200 unless set.

    No cache but the caller's own may keep it, and that one has to ask each time.
    """
    response.content_type = falcon.MEDIA_JSON
    response.data = msgspec.json.encode(body)
    response.set_header("Cache-Control", "private, no-cache")


def body_of(request: falcon.Request, decoder: "msgspec.json.Decoder[T]") -> T:
    """Raises Problem INVALID_JSON, INVALID_FIELD."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        raise Problem("INVALID_JSON", "Send a JSON object as application/json.")
    try:
        return decoder.decode(_bytes_of(request))
    except msgspec.ValidationError as error:
        # msgspec names the field and the type it wants, not what was sent.
        raise Problem("INVALID_FIELD", f"{error}.") from None
    except UNREADABLE:
        raise Problem("INVALID_JSON", "The body is not JSON.") from None


def _bytes_of(request: falcon.Request) -> bytes:
    # A chunked body has no length; then gunicorn ends the stream where the body ends.
    terminated = request.env.get("wsgi.input_terminated", False)
    stream = request.stream if terminated else request.bounded_stream
    body: bytes = stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Problem("INVALID_JSON", f"The body is larger than {MOST_BYTES} bytes.")
    return body
