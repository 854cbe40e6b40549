"""One trace a message, links where batches merge, W3C context between processes (libs.common)."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from uuid_utils.compat import uuid7

from libs.common.protocol.deliveries import Answer, ToUser
from libs.common.protocol.events import Delivered, Send
from libs.common.protocol.frames import MessageSent, encode_frame
from libs.common.protocol.writes import InsertMessage, MarkDelivered
from libs.common.spans import Spans
from local.layout import ROOT

PLACE, ANNA, BEN = uuid4(), uuid4(), uuid4()
AT_MS = 1_700_000_000_000


def new_id() -> UUID:
    return UUID(str(uuid7()))


class Traced:
    """Spans that stay in the process."""

    def __init__(self, sampling: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self.spans = Spans(
            "router", "router-1", endpoint="", sampling=sampling, exporter=self._exporter
        )

    def ended(self) -> Sequence[ReadableSpan]:
        self.spans.close()
        return self._exporter.get_finished_spans()


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.spans.close()


def send(try_id: UUID) -> Send:
    return Send(PLACE, ANNA, try_id, uuid4(), "content", AT_MS, uuid4(), "gateway-1")


def test_a_messages_trace_has_its_id_and_begins_with_its_frame(traced: Traced) -> None:
    message_id = new_id()
    with traced.spans.batch("publish", [send(message_id)]):
        pass
    with traced.spans.batch("route", [send(message_id)]):
        pass
    with traced.spans.batch("store", [InsertMessage(PLACE, 2, message_id, ANNA, None, "x", 1)]):
        pass
    of_message = [span for span in traced.ended() if span.context.trace_id == message_id.int]
    root, *children = of_message
    assert [span.name for span in of_message] == [
        "SEND_MESSAGE",
        "route Send",
        "store InsertMessage",
    ]
    assert root.parent is None
    assert root.start_time == AT_MS * 1_000_000
    assert {span.parent.span_id for span in children if span.parent} == {root.context.span_id}
    assert "content" not in str([span.attributes for span in of_message])


def test_batches_link_to_their_messages_and_these_to_them(traced: Traced) -> None:
    ids = [new_id() for _ in range(3)]
    with traced.spans.batch("store", [MarkDelivered(PLACE, 3, ids, 1)]):
        pass
    batch, *of_messages = sorted(traced.ended(), key=lambda span: span.name)
    assert batch.name == "store"
    assert {link.context.trace_id for link in batch.links} == {one.int for one in ids}
    assert {span.context.trace_id for span in of_messages} == {one.int for one in ids}
    for span in of_messages:
        assert [link.context.span_id for link in span.links] == [batch.context.span_id]


def test_a_batch_links_to_the_batches_that_it_merges(traced: Traced) -> None:
    carried: list[str] = []
    for _ in range(2):
        with traced.spans.batch("publish", [send(new_id())]):
            headers = traced.spans.headers()
            assert headers is not None
            assert headers.keys() == {"traceparent"}
            carried.append(headers["traceparent"])
    with traced.spans.batch("route", [send(new_id())], (*carried, None, "nonsense")):
        pass
    batches = {span.name: span for span in traced.ended() if span.parent is None}
    linked = {f"{link.context.trace_id:032x}" for link in batches["route"].links}
    assert {one.split("-")[1] for one in carried} <= linked
    assert len(linked) == 3, "the two batches and the message"


def test_a_pong_lasts_from_the_writing_on(traced: Traced) -> None:
    message_id = new_id()
    with traced.spans.batch("deliver", [ToUser(BEN, PLACE, 2, b"{}", message_id=message_id)]):
        pass
    pong_at = 4_000_000_000_000
    with traced.spans.batch("publish", [Delivered(PLACE, BEN, [message_id], pong_at)]):
        pass
    spans = {span.name: span for span in traced.ended()}
    written, pong = spans["deliver ToUser"], spans["pong"]
    assert written.start_time is not None
    assert pong.start_time is not None
    assert pong.start_time <= written.start_time
    assert pong.end_time == pong_at * 1_000_000


def test_only_an_answer_that_tells_of_a_message_is_its() -> None:
    traced, try_id = Traced(), new_id()
    frame = encode_frame(MessageSent(None, try_id, PLACE, 2, "2026-11-25T00:00:00.000Z"))
    other = Answer(uuid4(), new_id(), b'{"type":"SYNC_RESULT"}')
    with traced.spans.batch("deliver", [Answer(uuid4(), try_id, frame), other]):
        pass
    assert sorted(span.name for span in traced.ended()) == ["deliver", "deliver Answer"]


def test_what_is_not_sampled_leaves_no_trace() -> None:
    traced = Traced(sampling=0)
    with traced.spans.batch("publish", [send(new_id())]):
        assert traced.spans.headers() is None
    assert traced.ended() == ()


def test_every_role_samples_the_same_messages() -> None:
    """And about as many as is said."""
    ids = [new_id() for _ in range(4_000)]
    here, there = Traced(0.25), Traced(0.25)
    chosen = [one for one in ids if here.spans.is_sampled(one)]
    assert chosen == [one for one in ids if there.spans.is_sampled(one)]
    assert 800 < len(chosen) < 1_200
    here.spans.close()
    there.spans.close()


@pytest.mark.parametrize("role", ["ws_gateway", "router", "persister"])
def test_a_role_that_does_not_trace_needs_no_opentelemetry(role: str) -> None:
    """As in an image without the extra; and ours is not loaded where there is one."""
    look = (
        "import runpy, sys; sys.modules['opentelemetry'] = None\n"
        f"runpy.run_module('services.{role}.__main__', run_name='x')\n"
        "sys.exit('libs.common.spans' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0


def test_a_missing_extra_is_told_before_anything_starts() -> None:
    """As in an image without it."""
    look = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from libs.common import tracing\n"
        "from libs.common.config import RoleSettings\n"
        "tracing.start('router', RoleSettings(amqp_url='amqp://x', redis_url='redis://x',"
        " otlp_endpoint='http://localhost:4318'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 78
    assert "install the extra `tracing`" in ended.stderr
