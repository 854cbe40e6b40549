"""What an answer, or none, means for who asked. Pure."""

from typing import Final

ANSWER_S: Final = 10.0
"""What got no answer for so long is sent again."""
REPEAT_S: Final = 1.0
"""The pause before the same again, where an ERROR names none."""


def is_passing(code: int) -> bool:
    """Whether an ERROR of this code says: the same again, later.

    That is 429, and whatever failed on the service's side.
    """
    return code == 429 or code >= 500


def pause_s(retry_after_ms: int | None) -> float:
    """How many seconds later, by an ERROR's `retryAfterMs`."""
    return REPEAT_S if retry_after_ms is None else retry_after_ms / 1000
