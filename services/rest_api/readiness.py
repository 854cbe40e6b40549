"""The probes' answers: what this instance waits for."""

from threading import Event, Thread
from typing import Final

from libs.common.admin import Health
from libs.common.cache import BlockingCache, CacheError
from services.rest_api.commands import Commands
from services.rest_api.store import Store

INTERVAL_S: Final = 1.0


class Readiness:
    """Looks once a second, in a thread of its own."""

    def __init__(
        self, health: Health, store: Store, cache: BlockingCache, commands: Commands
    ) -> None:
        self._health = health
        self._store = store
        self._cache = cache
        self._commands = commands
        self._redis_was_there = False
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="readiness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._health.unready("stopping")

    def _watch(self) -> None:
        while not self._stopping.is_set():
            if self._commands.alive:
                self._health.beat()
            waiting_for = self._waiting_for()
            if self._stopping.is_set():
                return
            if waiting_for is None:
                self._health.ready()
            else:
                self._health.unready(waiting_for)
            self._stopping.wait(INTERVAL_S)

    def _waiting_for(self) -> str | None:
        if not self._store.answers():
            return "PostgreSQL"
        if not self._commands.connected:
            return "RabbitMQ"
        # A wrong address shows at the start. Later on reads do without Redis (promise 8), and
        # all instances unready at once would turn a slow service into none.
        self._redis_was_there = self._redis_was_there or self._redis_answers()
        return None if self._redis_was_there else "Redis"

    def _redis_answers(self) -> bool:
        try:
            self._cache.run(("PING",))
        except CacheError:
            return False
        return True
