"""Who gets what: decisions and the sessions that listen → deliveries by gateway. Pure."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from libs.common.protocol.deliveries import Answer, Delivery, Note, ToUser
from libs.common.protocol.frames import ServerFrame, encode_frame
from services.router.rules.decisions import Announcement, Answered

Listeners = Mapping[UUID, Mapping[UUID, str]]
"""User → session → gateway."""


def fan_out(
    notices: Iterable[Announcement | Answered],
    listeners: Listeners,
    everywhere: Collection[str] = (),
) -> dict[str, list[Delivery]]:
    """Deliveries by gateway, in the order of the notices. A frame nobody gets isn't encoded.

    Gateways in `everywhere` get every entry: they know who is there.
    """
    by_gateway: dict[str, list[Delivery]] = {}
    for notice in notices:
        if isinstance(notice, Answered):
            delivery = Answer(notice.session_id, notice.try_id, encode_frame(notice.frame))
            by_gateway.setdefault(notice.gateway_id, []).append(delivery)
        elif gateways := _gateways(notice, listeners).union(everywhere):
            to_user = _to_user(notice)
            for gateway_id in gateways:
                by_gateway.setdefault(gateway_id, []).append(to_user)
    return by_gateway


def notes(
    told: Iterable[tuple[UUID, ServerFrame]], listeners: Listeners
) -> dict[str, list[Delivery]]:
    """The same for what is no entry: a frame for each session of a user."""
    by_gateway: dict[str, list[Delivery]] = {}
    for user_id, frame in told:
        if gateways := set(listeners[user_id].values()):
            note = Note(user_id, encode_frame(frame))
            for gateway_id in gateways:
                by_gateway.setdefault(gateway_id, []).append(note)
    return by_gateway


def _gateways(entry: Announcement, listeners: Listeners) -> set[str]:
    return {
        gateway_id
        for session_id, gateway_id in listeners[entry.user_id].items()
        if session_id != entry.except_session_id
    }


def _to_user(entry: Announcement) -> ToUser:
    return ToUser(
        user_id=entry.user_id,
        conversation_id=entry.conversation_id,
        seq=entry.seq,
        frame=encode_frame(entry.frame),
        message_id=entry.message_id,
        except_session_id=entry.except_session_id,
    )
