"""A log line is one line, whatever it tells of: nobody writes another, nor paints a terminal."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from libs.common import logs

FORGERIES = (
    'x\n{"event":"forged","level":"info"}',
    "x\r\nforged",
    "x\x1b[2K\x1b[1Gforged",
    "x\x9b2Kforged",
    "x\u2028forged\u2029\u0085",
    "x\u202egnp.forged\u2066",
    'x","level":"critical","y":"',
    "x\x00\x07\x08\x7f",
    "\ud800 lone",
    "日本語 \U0001f600 \U000e0001",
)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What goes to standard output."""
    stream = io.BytesIO()
    before = structlog.get_config(), logging.getLogger().handlers.copy()
    text = io.TextIOWrapper(stream)
    monkeypatch.setattr(sys, "stdout", text)
    logs.configure("role", "one", "info")
    yield stream
    structlog.configure(**before[0])
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = before[1]
    text.detach()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_value_stays_a_value(written: io.BytesIO, forgery: str) -> None:
    structlog.get_logger().info("call", value=forgery, **{forgery: 1})
    [line] = written.getvalue().splitlines()
    assert all(0x20 <= byte < 0x80 for byte in line)
    told = json.loads(line)
    assert (told["event"], told["level"], told["role"]) == ("call", "info", "role")
    assert told["value"] == forgery


@pytest.mark.parametrize("forgery", FORGERIES)
def test_so_it_is_with_what_libraries_and_exceptions_say(written: io.BytesIO, forgery: str) -> None:
    logging.getLogger("library").warning("it says %s", forgery)
    try:
        raise ValueError(forgery)
    except ValueError:
        structlog.get_logger().exception("failed")
    first, second = written.getvalue().splitlines()
    assert json.loads(first)["logger"] == "library"
    assert json.loads(second)["event"] == "failed"
    assert all(0x20 <= byte < 0x80 for byte in first + second)
