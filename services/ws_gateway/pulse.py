"""Whether routers may have lost our sessions, judged by our own signs of life in Redis. Pure."""

from typing import Final

SLEPT_MS: Final = 5_000
"""Routers hold a gateway dead that was silent for 8 s, and take its sessions out."""
AGAIN_AFTER: Final = 3
"""Beats. A router that held us dead may still be taking out what we have just written anew."""


class Pulse:
    """Tell it of every beat, in order."""

    def __init__(self) -> None:
        self._was_felt = False
        self._in_doubt = False
        self._again_in = 0

    def missed(self) -> None:
        """Redis did not answer; the sign may have been given all the same."""
        self._in_doubt = True

    def felt(self, silent_ms: int | None) -> bool:
        """Redis took a sign, and knew one that old; None: of none. Whether to register all anew."""
        was_emptied = self._was_felt and silent_ms is None
        was_away = self._in_doubt or (silent_ms is not None and silent_ms > SLEPT_MS)
        self._was_felt, self._in_doubt = True, False
        is_time = self._again_in == 1
        self._again_in = AGAIN_AFTER if was_away else max(self._again_in - 1, 0)
        return was_emptied or was_away or is_time
