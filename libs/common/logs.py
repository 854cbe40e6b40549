"""Structured logs: one JSON object a line on standard output, never a message's content."""

import json
import logging
import sys
from contextlib import suppress
from typing import Final

import orjson
import structlog
from structlog.typing import EventDict, Processor

_ASCII: Final = json.JSONEncoder(default=str, separators=(",", ":"))
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(role: str, instance: str, level: str) -> None:
    """Every line has `timestamp`, `level`, `event`, `role`, `instance`; ids by their own names."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _stamp(role, instance),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the local variables of each frame: they hold messages and tokens.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    # Libraries log through `logging` or `warnings`: that becomes lines of the same form.
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


def _stamp(role: str, instance: str) -> Processor:
    """Not by context variables: a thread starts without those of the one that made it."""

    def stamp(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["role"] = role
        event["instance"] = instance
        return event

    return stamp


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=exception)


def _dumps(value: object, **_: object) -> bytes:
    """ASCII alone: no value can end the line, paint a terminal, or turn what stands beside it."""
    with suppress(TypeError):  # a lone surrogate, and a log line must never raise
        line = orjson.dumps(value, default=str)
        if line.isascii():
            return line
    return _ASCII.encode(value).encode()
