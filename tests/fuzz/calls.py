"""Calls of the REST API, most of them almost right, as the bytes of HTTP/1.1.

Made from its own list of operations: methods, addresses, queries, headers and bodies.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_from_bytes
from uuid import UUID

from hypothesis import strategies as st

from services.rest_api.openapi import BASE
from services.rest_api.operations import OPERATIONS, Operation
from tests.fuzz.values import ODD, objects

_METHODS: Final = ("HEAD", "OPTIONS", "PATCH", "TRACE", "PUT", "POST", "DELETE", "get", "X" * 30)
_HEADERS: Final = (
    *("Accept", "Accept-Encoding", "Content-Encoding", "Content-Type", "Cookie", "If-None-Match"),
    *("Origin", "Range", "Access-Control-Request-Method", "X-Forwarded-For", "X-Forwarded-Proto"),
    *("X-Request-Id", "X-HTTP-Method-Override", "Forwarded", "Via", "Te", "Upgrade", "X-\xe9"),
)
_IN_A_LINE: Final = re.compile(rb"[\r\n]")
_IN_A_TARGET: Final = re.compile(rb"[\r\n #?&]")


def _bytes_of(value: object) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="surrogatepass")


_VALUES: Final = (
    st.binary(max_size=30) | st.integers(-(2**70), 2**70).map(_bytes_of) | ODD.map(_bytes_of)
)
_IN_TARGETS: Final = _VALUES.map(lambda raw: quote_from_bytes(raw, safe="").encode()) | _VALUES.map(
    lambda raw: _IN_A_TARGET.sub(b"", raw)
)
_HEADER_LINES: Final = st.dictionaries(
    st.sampled_from(_HEADERS), _VALUES.map(lambda raw: _IN_A_LINE.sub(b"", raw)), max_size=4
)


def calls(token: str, ids: Sequence[UUID]) -> st.SearchStrategy[bytes]:
    """Of somebody with this token, about these ids as a rule. They end the connection."""

    def of(operation: Operation) -> st.SearchStrategy[bytes]:
        return st.builds(
            _request,
            st.just(operation.method) | st.sampled_from(_METHODS),
            _targets(operation, ids),
            _tokens(token),
            _HEADER_LINES,
            _bodies(operation),
        )

    return st.sampled_from(OPERATIONS).flatmap(of)


def _tokens(token: str) -> st.SearchStrategy[bytes]:
    good = f"Bearer {token}".encode()
    return st.sampled_from([good, good, good, good[:-3], b"", b"Basic YTpi", b"Bearer \xff"])


def _targets(operation: Operation, ids: Sequence[UUID]) -> st.SearchStrategy[bytes]:
    known = st.sampled_from([str(one).encode() for one in ids])
    pieces = re.split(r"\{\w+\}", BASE + operation.path)
    names = [parameter.name.encode() for parameter in operation.query] + [b"x", b"%zz", b""]
    given = st.tuples(st.sampled_from(names), known | _IN_TARGETS)
    return st.builds(
        _target,
        st.just([piece.encode() for piece in pieces]),
        st.lists(known | known | _IN_TARGETS, min_size=len(pieces), max_size=len(pieces)),
        st.lists(given, max_size=4),
        st.just(b"") | _IN_TARGETS,
    )


def _target(
    pieces: Sequence[bytes],
    between: Sequence[bytes],
    query: Sequence[tuple[bytes, bytes]],
    end: bytes,
) -> bytes:
    path = pieces[0] + b"".join(
        value + piece for value, piece in zip(between, pieces[1:], strict=False)
    )
    asked = b"&".join(name + b"=" + value for name, value in query)
    return path + end + (b"?" + asked if query else b"")


def _bodies(operation: Operation) -> st.SearchStrategy[bytes]:
    if operation.body is None:
        return st.just(b"") | st.just(b"") | _VALUES
    return objects(operation.body).map(_bytes_of) | ODD.map(_bytes_of) | _VALUES


def _request(
    method: str, target: bytes, token: bytes, headers: Mapping[str, bytes], body: bytes
) -> bytes:
    lines: list[bytes] = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: x"]
    given: dict[str, Any] = {"Content-Type": b"application/json"} | dict(headers)
    lines += [name.encode("latin-1") + b": " + value for name, value in given.items()]
    if token:
        lines.append(b"Authorization: " + token)
    lines += [b"Connection: close", f"Content-Length: {len(body)}".encode()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
