"""Consumes chat.deliveries.{gateway}: what the routers want written."""

import time
from collections.abc import Callable, Sequence

import structlog

from libs.common import tracing
from libs.common.content import Incoming
from libs.common.domain.moment import stamped_at
from libs.common.metrics import ANSWER, BATCH_SIZE
from libs.common.protocol.codec import DELIVERIES, Malformed
from libs.common.protocol.deliveries import (
    Answer,
    Delivery,
    Missed,
    Note,
    Opened,
    ToSession,
    ToUser,
)
from services.ws_gateway.backlog import Backlog
from services.ws_gateway.connection import Connection
from services.ws_gateway.registry import Registry
from services.ws_gateway.wire import text_frame

log = structlog.get_logger()


class Deliveries:
    """Not acknowledged: the queue goes with the connection, and what was in it is in the logs."""

    def __init__(
        self,
        registry: Registry[Connection],
        backlog: Backlog,
        bury: Callable[[Malformed], None],
        on_missed: Callable[[], None],
    ) -> None:
        """`on_missed`: the queue was full, and nobody knows what was lost."""
        self._registry = registry
        self._backlog = backlog
        self._bury = bury
        self._on_missed = on_missed
        self._sizes = BATCH_SIZE.labels("deliveries")

    def receive(self, incoming: Incoming) -> None:
        deliveries, malformed = DELIVERIES.decode(incoming.body)
        self._sizes.observe(len(deliveries))
        for part in malformed:
            log.error("malformed delivery", reason=part.reason)
            self._bury(part)
        if tracing.spans is None:
            self._deliver_all(deliveries)
        else:
            with tracing.spans.batch("deliver", deliveries, (incoming.traceparent,)):
                self._deliver_all(deliveries)

    def _deliver_all(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            try:
                self._deliver(delivery)
            except Exception:  # One bad thing stays one (promise 9).
                log.exception("delivery failed", kind=type(delivery).__name__)

    def _deliver(self, delivery: Delivery) -> None:
        match delivery:
            case ToUser():
                self._to_user(delivery)
            case Answer():
                self._answer(delivery)
            case Note(user_id, frame):
                self._to_members(self._registry.members(user_id), frame)
            case ToSession(session_id, frame):
                if connection := self._registry.session(session_id):
                    self._to_members((connection,), frame)
            case Opened(session_id, heads):
                if connection := self._registry.session(session_id):
                    connection.opened(heads)
            case Missed():
                self._on_missed()

    def _answer(self, answer: Answer) -> None:
        self._backlog.answered(answer.try_id)
        if connection := self._registry.session(answer.session_id):
            effects = connection.session.answer(
                answer.try_id, text_frame(answer.frame), answer.conversation_id, answer.message_ids
            )
            if effects:
                ANSWER.observe(time.time() - stamped_at(answer.try_id) / 1000)
            connection.perform(effects)

    def _to_members(self, connections: Sequence[Connection], payload: bytes) -> None:
        frame = text_frame(payload)
        for connection in connections:
            connection.perform(connection.session.note(frame))

    def _to_user(self, entry: ToUser) -> None:
        recipients = self._registry.recipients(entry)
        if not recipients:
            return
        frame = text_frame(entry.frame)
        for connection in recipients:
            connection.perform(
                connection.session.entry(frame, entry.conversation_id, entry.message_id)
            )
