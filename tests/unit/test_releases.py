"""Old and new releases of any two roles work together: what one writes, the other reads.

Against the recordings in tests/contracts/releases. When one of these is red, the change is not one
for a rollout: add a field behind the others, with a default, and keep the old ones as they were.
"""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from libs.common.protocol.codec import Codec
from tests.contracts.releases import (
    WIRES,
    Recorded,
    Recording,
    Wire,
    batches,
    meaning,
    record,
    recordings,
    unrecorded,
)

RECORDINGS = recordings()
BODIES = [
    pytest.param(wire, kind, recorded, id=f"{release} {wire} {kind} {number}")
    for release, recording in RECORDINGS.items()
    for wire, kinds in recording.items()
    for kind, bodies in kinds.items()
    for number, recorded in enumerate(bodies)
]


def test_every_type_has_a_recording() -> None:
    """`python -m tests.contracts.releases` makes those that are missing."""
    assert "0.1.0" in RECORDINGS
    assert unrecorded() == []


@pytest.mark.parametrize(("wire", "kind", "recorded"), BODIES)
def test_what_a_release_wrote_is_read_as_it_was_meant(
    wire: str, kind: str, recorded: Recorded
) -> None:
    item = WIRES[wire].decode(recorded.encoded(wire))
    assert type(item).__name__ == kind
    now = meaning(item)
    assert {name: now.get(name) for name in recorded.fields} == recorded.fields


@pytest.mark.parametrize(("wire", "kind", "recorded"), BODIES)
def test_what_is_written_now_that_release_reads(wire: str, kind: str, recorded: Recorded) -> None:
    """It knows the first fields of an array, or those of an object by name, and no others."""
    then = plain(recorded.encoded(wire))
    now = plain(WIRES[wire].encode(WIRES[wire].decode(recorded.encoded(wire))))
    assert known_part(now, then) == then


def plain(body: bytes) -> Any:
    """Without types: a batch of one as what is in it."""
    if body.startswith(b"{"):
        return json.loads(body)
    return msgspec.msgpack.decode(body)[0]


def known_part(now: Any, then: Any) -> Any:
    """What a reader that knows only `then`'s fields takes of `now`."""
    match now, then:
        case list(), list():
            return [known_part(*pair) for pair in zip(now, then, strict=False)]
        case dict(), dict():
            return {name: known_part(now[name], then[name]) for name in then if name in now}
    return now


# ------------------------------------------------------------------ the net itself

CONVERSATION, USER, IDS, AT = (
    ("conversation_id", UUID),
    ("user_id", UUID),
    ("message_ids", list[UUID]),
    ("delivered_at", int),
)
CHANGED: dict[str, list[tuple[str, Any]]] = {
    "two of one type in each other's place": [USER, CONVERSATION, IDS, AT],
    "added, but not at the end": [CONVERSATION, ("device_id", UUID), USER, IDS, AT],
    "added without a default": [CONVERSATION, USER, IDS, AT, ("device_id", UUID)],
    "taken away": [CONVERSATION, USER, IDS],
    "of another type": [CONVERSATION, USER, IDS, ("delivered_at", str)],
}


def holds(wire: Wire, recorded: Recorded) -> bool:
    """Whether both directions do, for one body of the events."""
    body = recorded.encoded("events")
    try:
        item = wire.decode(body)
    except (AssertionError, ValueError):
        return False
    then, now = plain(body), plain(wire.encode(item))
    return meaning(item).items() >= recorded.fields.items() and known_part(now, then) == then


def changed(fields: list[Any]) -> Wire:
    """The events, if `Delivered` had these fields."""
    kind = msgspec.defstruct("Delivered", fields, array_like=True, tag="delivered")
    return batches(kind, Codec(kind))


@pytest.mark.parametrize("fields", CHANGED.values(), ids=CHANGED.keys())
def test_a_change_that_breaks_a_rollout_is_seen(fields: list[Any]) -> None:
    [recorded] = RECORDINGS["0.1.0"]["events"]["Delivered"]
    assert not holds(changed(fields), recorded)


def test_a_field_behind_the_others_with_a_default_is_fine() -> None:
    [recorded] = RECORDINGS["0.1.0"]["events"]["Delivered"]
    added = ("device_id", UUID | None, None)
    assert holds(changed([CONVERSATION, USER, IDS, AT, added]), recorded)


def test_the_recording_was_made_by_this_code() -> None:
    """Where nothing has been added since. A recording that was edited by hand is found here."""
    recording: Recording = RECORDINGS["0.1.0"]
    for wire, kinds in recording.items():
        for kind in WIRES[wire].types:
            recorded, made = kinds.get(kind.__name__, []), record(wire, kind)
            if recorded and recorded[0].fields.keys() == made[0].fields.keys():
                for old, new in zip(recorded, made, strict=False):
                    assert old.fields.items() <= new.fields.items()
