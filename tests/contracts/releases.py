"""What each release sent, as bytes: `python -m tests.contracts.releases` records this one.

In a rollout two releases run side by side. So a recording, once made, is never made anew: it only
gets what it lacks, and `tests/unit/test_releases.py` holds today's types against all of them.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from libs.common.protocol import codec, deliveries, events, frames, matches, replies, writes
from libs.common.protocol.codec import Codec
from local.layout import ROOT
from tests.contracts.specimens import specimens

FOLDER: Final = Path(__file__).parent / "releases"


@dataclass(frozen=True)
class Wire:
    """One way between processes: what travels on it, and how it is written and read."""

    types: tuple[type[msgspec.Struct], ...]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    """Raises when it can't be read."""


def batches(union: Any, of: Codec[Any]) -> Wire:
    def decode(body: bytes) -> Any:
        [item], malformed = of.decode(body)
        assert not malformed
        return item

    return Wire(_types(union), lambda item: of.encode([item]), decode)


def _json(union: Any) -> Wire:
    return Wire(_types(union), msgspec.json.encode, msgspec.json.Decoder(union).decode)


def _types(union: Any) -> tuple[type[msgspec.Struct], ...]:
    return get_args(union) or (union,)


WIRES: Final[Mapping[str, Wire]] = {
    "events": batches(events.Event, codec.EVENTS),
    "signals": batches(events.Signal, codec.SIGNALS),
    "deliveries": batches(deliveries.Delivery, codec.DELIVERIES),
    "writes": batches(writes.Write, codec.WRITES),
    "typing": batches(writes.Typing, codec.TYPING),
    "replies": batches(replies.Reply, codec.REPLIES),
    "matches": _json(matches.Match),
    "frames of clients": _json(frames.ClientFrame),
    "frames of the service": _json(frames.ServerFrame),
}


class Recorded(msgspec.Struct):
    """One body, as hexadecimal digits where it is not text, and what it means."""

    body: str
    fields: dict[str, Any]

    def encoded(self, wire: str) -> bytes:
        """As it travelled."""
        return self.body.encode() if _is_text(wire) else bytes.fromhex(self.body)


Recording = dict[str, dict[str, list[Recorded]]]
"""Of one release: wire → name of the type → specimens."""


def _is_text(wire: str) -> bool:
    return wire in ("matches", "frames of clients", "frames of the service")


def record(wire: str, kind: type[msgspec.Struct]) -> list[Recorded]:
    """As today's code writes it."""
    encode = WIRES[wire].encode
    return [
        Recorded(body.decode() if _is_text(wire) else body.hex(), meaning(specimen))
        for specimen in specimens(kind)
        for body in [encode(specimen)]
    ]


def meaning(item: msgspec.Struct) -> dict[str, Any]:
    """Its fields by their names in the code, but for those that are not set."""
    known = {
        name: value
        for name, value in msgspec.structs.asdict(item).items()
        if value is not msgspec.UNSET
    }
    fields: dict[str, Any] = json.loads(msgspec.json.encode(known))
    return fields


def recordings() -> dict[str, Recording]:
    """By release."""
    files = sorted(FOLDER.glob("*.json"))
    return {file.stem: msgspec.json.decode(file.read_bytes(), type=Recording) for file in files}


def unrecorded() -> list[tuple[str, type[msgspec.Struct]]]:
    """Types of today that no release has recorded, with their wires."""
    known = recordings().values()
    return [
        (name, kind)
        for name, wire in WIRES.items()
        for kind in wire.types
        if not any(kind.__name__ in one.get(name, {}) for one in known)
    ]


def main() -> None:
    """Adds to this release's recording what no release has recorded."""
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    recording = recordings().get(release, {})
    for wire, kind in unrecorded():
        recording.setdefault(wire, {})[kind.__name__] = record(wire, kind)
        print(f"{release}: {wire}, {kind.__name__}")
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(msgspec.to_builtins(recording), indent=1, sort_keys=True)
    (FOLDER / f"{release}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
