"""/openapi.json, /asyncapi.json and /docs: the contracts, made once at the start, for everybody."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import falcon
import msgspec

from libs.common.protocol import asyncapi
from services.rest_api import docs_page, openapi
from services.rest_api.operations import HTML, JSON


class Document:
    """GET: bytes that stay the same while this process lives."""

    has_etag = True
    is_public = True

    def __init__(
        self, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._body = body
        self._media_type = media_type
        self._headers = {"Cache-Control": "no-cache", **(headers or {})}

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        response.set_headers(self._headers)
        response.content_type = self._media_type
        response.data = self._body


def contract_json(document: Mapping[str, Any]) -> bytes:
    """As it is committed and served."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def documents() -> dict[str, Document]:
    """By path."""
    rest, socket = openapi.document(), asyncapi.document()
    return {
        "/openapi.json": Document(contract_json(rest), JSON),
        "/asyncapi.json": Document(contract_json(socket), JSON),
        "/docs": Document(docs_page.page(rest, socket).encode(), HTML, _PAGE_HEADERS),
    }


_STYLE_HASH: Final = b64encode(hashlib.sha256(docs_page.STYLE.encode()).digest()).decode()
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The page runs no script, loads nothing and can't be framed."""
