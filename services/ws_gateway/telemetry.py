"""What the metrics tell of a connection."""

from typing import Final, Literal, get_args

from websockets.protocol import Protocol

from libs.common.domain.moment import stamped_at
from libs.common.metrics import CLOSES, CONNECT_TIME, CONNECTS, DELIVERY, FRAMES, SLOW_CLOSES
from libs.common.protocol.closes import Close
from libs.common.protocol.events import Delivered
from libs.common.protocol.frames import ClientFrame
from services.ws_gateway.effects import Effects, Publish
from services.ws_gateway.incoming import BadFrame

SlowCause = Literal["buffer", "pong"]

FRAMES_OF: Final = {
    frame_type: FRAMES.labels(frame_type.__struct_config__.tag)
    for frame_type in get_args(ClientFrame)
} | {BadFrame: FRAMES.labels("bad")}
"""The counter of each type that `read_frame` may return: an item, as a call costs too much."""

_CONNECTS: Final = {
    outcome: CONNECTS.labels(outcome) for outcome in ("opened", "failed", "refused", "abandoned")
}
_SLOW_CLOSES: Final = {cause: SLOW_CLOSES.labels(cause) for cause in get_args(SlowCause)}
_ON_US: Final = (Close.ON_US, Close.RESTARTING)


def count_opened(waited_s: float) -> None:
    """A session has got CONNECT_SUCCESS, so long after its token."""
    _CONNECTS["opened"].inc()
    CONNECT_TIME.observe(waited_s)


def count_not_opened(protocol: Protocol) -> None:
    """A session has ended before: `failed` when it is on us.

    `refused` has a cause of the client's (CLOSES says which).
    """
    close = protocol.close_sent
    if close is None or protocol.close_rcvd is not None:
        _CONNECTS["abandoned"].inc()
    else:
        _CONNECTS["failed" if close.code in _ON_US else "refused"].inc()


def count_close(protocol: Protocol) -> None:
    """Only ours are counted, by code."""
    if protocol.close_sent is not None and protocol.close_rcvd is None:
        CLOSES.labels(protocol.close_sent.code).inc()


def count_slow_close(cause: SlowCause) -> None:
    """A client that does not keep up is being closed."""
    _SLOW_CLOSES[cause].inc()


def observe_deliveries(effects: Effects, now: float, open_for_s: float) -> None:
    """How long each message was under way that a pong has shown to be delivered.

    Only if it was accepted after this session began, `open_for_s` before `now` (seconds since
    1970). Older ones are what a SYNC has caught up with: they waited for their user, not for us.
    """
    for effect in effects:
        if isinstance(effect, Publish) and isinstance(effect.event, Delivered):
            for message_id in effect.event.message_ids:
                seconds = now - stamped_at(message_id) / 1000
                if seconds < open_for_s:
                    DELIVERY.observe(seconds)
