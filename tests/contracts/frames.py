"""What clients get by WebSocket, held against AsyncAPI."""

from typing import Any, get_args

from libs.common.protocol import asyncapi
from libs.common.protocol.frames import ServerFrame
from tests.contracts.closed import complaint, validator

Frame = dict[str, Any]


class FrameContract:
    """One validator for each type; fast enough for each of hundreds of thousands of frames."""

    def __init__(self) -> None:
        document = asyncapi.document()
        messages = document["components"]["messages"]
        self._validators = {
            messages[kind.__name__]["name"]: validator(document, messages[kind.__name__]["payload"])
            for kind in get_args(ServerFrame)
        }
        self._errors: dict[str | None, set[str]] = {
            messages[name]["name"]: {*operation["x-errors"], *asyncapi.ERRORS_OF_ANY}
            for operation in document["operations"].values()
            if operation["action"] == "receive"
            for name in [operation["messages"][0]["$ref"].rpartition("/")[2]]
        }

    def complaint(self, frame: Frame) -> str | None:
        """What the contract doesn't allow; None when it does."""
        found = self._validators.get(frame.get("type", ""))
        if found is None:
            return f"a frame of an undocumented type: {frame}"
        wrong = complaint(found, frame) or self._wrong_error(frame)
        return wrong and f"{wrong} in {frame}"

    def _wrong_error(self, frame: Frame) -> str | None:
        """An error that is documented, but not as an answer to this type of frame."""
        if frame["type"] != "ERROR":
            return None
        allowed = self._errors.get(frame["ref"].get("type"))
        if allowed is None or frame["error"] in allowed:
            return None
        return f"{frame['error']} is not among the errors of {frame['ref']['type']}"
