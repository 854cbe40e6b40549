"""Whether a device is connected, as it tells those who show it."""

from dataclasses import dataclass
from typing import Literal

Name = Literal["stopped", "connecting", "online", "waiting"]


@dataclass(frozen=True, slots=True)
class State:
    """`waiting` has `retry_at`, in `time.perf_counter` seconds; after an end there is its `code`.

    `stopped` with a `code` is for good: coming back is of no use as things are.
    """

    name: Name
    retry_at: float = 0.0
    code: int | None = None
    reason: str = ""
