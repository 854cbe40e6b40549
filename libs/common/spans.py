"""OpenTelemetry: one trace for each message that is sampled. The only importer of it.

A message's trace has the message's id: whoever knows one knows the other, and every role computes
by itself whether a message is sampled and where its spans belong. Batches, which merge many
messages, have traces of their own: each message's span links to its batch, the batch's to its
messages and to the batches it was made of. What travels in AMQP headers is the batch's context.
"""

import random
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Final
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.protocol.deliveries import Answer, ToUser
from libs.common.protocol.events import Delivered, Send

EXPORT_S: Final = 2.0
"""For one try to reach the collector: a stop waits for the last."""
WRITTEN_MOST: Final = 10_000
"""Messages whose pong is awaited."""
_RANDOM_BITS: Final = 32
"""The last bits of a version 7 id; those before may count."""
_SPAN_BITS: Final = 64
_SENT: Final = b'{"type":"MESSAGE_SENT"'

_w3c: Final = TraceContextTextMapPropagator()


def message_ids(item: object) -> Sequence[UUID]:
    """Which messages an event, write or delivery is about; of a try, its own id."""
    if isinstance(item, Send):
        return (item.try_id,)
    if isinstance(item, Answer):
        return (item.try_id,) if item.frame.startswith(_SENT) else ()
    many: Sequence[UUID] | None = getattr(item, "message_ids", None)
    one: UUID | None = getattr(item, "message_id", None)
    return many or (() if one is None else (one,))


def root_of(message_id: UUID) -> SpanContext:
    """The span of the frame that brought the message: its trace has the message's id."""
    span_id = message_id.int & ((1 << _SPAN_BITS) - 1)
    return SpanContext(message_id.int, span_id, is_remote=True, trace_flags=_SAMPLED)


_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class _Ids(IdGenerator):
    """Random ones, but for the span whose context was chosen."""

    def __init__(self) -> None:
        self.chosen: SpanContext | None = None

    def generate_span_id(self) -> int:
        return random.getrandbits(_SPAN_BITS) if self.chosen is None else self.chosen.span_id

    def generate_trace_id(self) -> int:
        return random.getrandbits(2 * _SPAN_BITS) if self.chosen is None else self.chosen.trace_id


class Spans:
    """One process's. Belongs to its loop."""

    def __init__(
        self,
        role: str,
        instance: str,
        *,
        endpoint: str,
        sampling: float,
        exporter: SpanExporter | None = None,
    ) -> None:
        """`endpoint`: base URL of a collector that takes OTLP over HTTP. `sampling`: 0 to 1."""
        self._ids = _Ids()
        self._below = round(sampling * (1 << _RANDOM_BITS))
        resource = Resource.create(
            {
                "service.namespace": "chat",
                "service.name": role,
                "service.instance.id": instance,
            }
        )
        # `batch` has chosen already; `close` is called.
        self._provider = TracerProvider(
            ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids
        )
        exporter = exporter or OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("chat")
        self._written: OrderedDict[UUID, int] = OrderedDict()
        """Of sampled messages that were written to their recipient: when, ns since 1970."""

    def close(self) -> None:
        self._provider.shutdown()

    def is_sampled(self, message_id: UUID) -> bool:
        """The same answer in every process with the same sampling."""
        return message_id.int & ((1 << _RANDOM_BITS) - 1) < self._below

    @contextmanager
    def batch(
        self, stage: str, items: Iterable[object], came_by: Iterable[str | None] = ()
    ) -> Iterator[None]:
        """What happens to these items meanwhile is one span of each sampled message.

        `came_by`: the traceparents of the AMQP messages that brought them. What is published
        inside carries the batch's own.
        """
        sampled = [
            (item, message_id)
            for item in items
            for message_id in message_ids(item)
            if self.is_sampled(message_id)
        ]
        if not sampled:
            yield
            return
        links = [Link(root_of(message_id)) for _, message_id in sampled]
        links += [Link(context) for one in came_by if (context := _context(one)) is not None]
        batch = self._tracer.start_span(stage, Context(), SpanKind.INTERNAL, links=links)
        merged = [Link(batch.get_span_context())]
        spans = [self._begin(stage, item, message_id, merged) for item, message_id in sampled]
        try:
            with trace.use_span(batch, end_on_exit=True):
                yield
        finally:
            for span in spans:
                span.end()

    def headers(self) -> dict[str, str] | None:
        """For an AMQP message that is published now; None outside of a sampled batch."""
        headers: dict[str, str] = {}
        _w3c.inject(headers)
        return headers or None

    def _begin(self, stage: str, item: object, message_id: UUID, merged: Sequence[Link]) -> Span:
        if isinstance(item, Send) and stage == "publish":
            return self._root(item, merged)
        if isinstance(item, Delivered) and stage == "publish":
            self._pong(item, message_id)
        elif isinstance(item, ToUser) and stage == "deliver":
            self._wrote(message_id)
        return self._child(f"{stage} {type(item).__name__}", message_id, time_ns(), merged)

    def _root(self, send: Send, merged: Sequence[Link]) -> Span:
        """From the frame's arrival, which the try's id tells, to the broker's confirm."""
        self._ids.chosen = root_of(send.try_id)
        try:
            return self._tracer.start_span(
                "SEND_MESSAGE",
                Context(),
                SpanKind.SERVER,
                {
                    "chat.message.id": str(send.try_id),
                    "chat.conversation.id": str(send.conversation_id),
                    "chat.session.id": str(send.session_id),
                },
                merged,
                send.accepted_at * 1_000_000,
            )
        finally:
            self._ids.chosen = None

    def _child(
        self, name: str, message_id: UUID, start_ns: int, links: Sequence[Link] = ()
    ) -> Span:
        parent = trace.set_span_in_context(NonRecordingSpan(root_of(message_id)), Context())
        ids = {"chat.message.id": str(message_id)}
        return self._tracer.start_span(name, parent, SpanKind.INTERNAL, ids, links, start_ns)

    def _wrote(self, message_id: UUID) -> None:
        self._written.setdefault(message_id, time_ns())
        if len(self._written) > WRITTEN_MOST:
            self._written.popitem(last=False)

    def _pong(self, delivered: Delivered, message_id: UUID) -> None:
        """From the writing to the recipient's pong."""
        at_ns = delivered.delivered_at * 1_000_000
        start_ns = min(self._written.pop(message_id, at_ns), at_ns)
        self._child("pong", message_id, start_ns).end(at_ns)


def _context(traceparent: str | None) -> SpanContext | None:
    if traceparent is None:
        return None
    carried = _w3c.extract({"traceparent": traceparent})
    context = trace.get_current_span(carried).get_span_context()
    return context if context.is_valid else None
