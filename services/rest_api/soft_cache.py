"""Redis as the reads use it: a cache that may be away."""

from time import monotonic
from typing import Any, Final

import structlog

from libs.common.cache import BlockingCache, CacheError, CacheRefusal, Lua

SHUNNED_S: Final = 1.0
"""So long nobody else waits for a Redis that has just failed: each would wait for its time-out."""

log = structlog.get_logger()


class SoftCache:
    """Never fails: a Redis that is away says as little as an empty one. For any thread."""

    def __init__(self, cache: BlockingCache) -> None:
        self._cache = cache
        self._away_until = 0.0

    def run(self, *commands: tuple[str | bytes | int | Lua, ...]) -> list[Any] | None:
        """Their answers, in order, as of `BlockingCache.run`; None when Redis is away."""
        if monotonic() < self._away_until:
            return None
        try:
            return self._cache.run(*commands)
        except CacheRefusal as error:  # of one key; it is there for all others
            log.error("redis refuses", reason=str(error))
            return None
        except CacheError as error:
            self._away_until = monotonic() + SHUNNED_S
            log.warning("redis is away: reading behind a barrier", reason=str(error))
            return None

    def forget(self, key: str) -> None:
        """Deletes what can't be read, so nobody stumbles over it again; it is made anew."""
        log.error("keys that aren't ours deleted", keys=[key])
        self.run(("UNLINK", key))
