"""Deliveries: what the router tells a gateway to write, with the frame ready as bytes."""

from uuid import UUID

from msgspec import Struct


class _Delivery(Struct, frozen=True, array_like=True):
    pass


class ToUser(_Delivery, tag="user", frozen=True):
    """An entry of a log, for every session that this user has on the gateway.

    Entries of one conversation arrive in order of `seq`. After a crash they may come twice:
    the gateway drops what is not newer than what it has written for this user.
    """

    user_id: UUID
    conversation_id: UUID
    seq: int
    frame: bytes
    message_id: UUID | None = None
    """Set when the user is the message's recipient: a pong makes it DELIVERED (promise 5)."""
    except_session_id: UUID | None = None
    """The session that asked for this entry: it gets an `Answer` instead."""


class Answer(_Delivery, tag="answer", frozen=True):
    """MESSAGE_SENT, MESSAGE_READ, SYNC_RESULT or ERROR for one try: written once (promise 4)."""

    session_id: UUID
    try_id: UUID
    frame: bytes
    conversation_id: UUID | None = None
    message_ids: list[UUID] = []
    """Of a SYNC_RESULT: what this user is the recipient of, and what no pong has confirmed yet: the
    next one makes it DELIVERED (promise 5)."""


class Note(_Delivery, tag="note", frozen=True):
    """Typing or presence, for every session that this user has on the gateway. No entry."""

    user_id: UUID
    frame: bytes


class ToSession(_Delivery, tag="session", frozen=True):
    """An ERROR for a signal that isn't answered otherwise."""

    session_id: UUID
    frame: bytes


class Opened(_Delivery, tag="opened", frozen=True):
    """What a session needs for its CONNECT_SUCCESS. Entries held back meanwhile follow it."""

    session_id: UUID
    heads: dict[UUID, int]


class Missed(_Delivery, tag="missed", frozen=True):
    """The gateway's queue was full and refused deliveries before this one (promise 6).

    Whose they were nobody remembers: each client has to look for what it lacks.
    """


Delivery = ToUser | Answer | Note | ToSession | Opened | Missed
