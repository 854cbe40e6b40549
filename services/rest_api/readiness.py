"""The probes' answers: what this instance waits for."""

from threading import Event, Thread
from time import monotonic
from typing import Final

from libs.common.admin import Health
from libs.common.tokens import Verifier
from services.rest_api.commands import Commands
from services.rest_api.store import Store

INTERVAL_S: Final = 1.0
HANGS_S: Final = 5.0


class Readiness:
    """Looks once a second, in threads of its own. The loop of `commands` says that we live."""

    def __init__(
        self, health: Health, verifier: Verifier, store: Store, commands: Commands
    ) -> None:
        self._health = health
        self._verifier = verifier
        self._store = store
        self._commands = commands
        self._stopping = Event()
        self._looked_at = monotonic()

    def start(self) -> None:
        for name, target in (("readiness", self._watch), ("hanging", self._notice_hanging)):
            Thread(target=target, name=name, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            waiting_for = self._waiting_for()
            self._looked_at = monotonic()
            if self._stopping.is_set():
                return
            if waiting_for is None:
                self._health.ready()
            else:
                self._health.unready(waiting_for)
            self._stopping.wait(INTERVAL_S)

    def _notice_hanging(self) -> None:
        """In a thread of its own, as the other one may wait for a server that hangs."""
        while not self._stopping.is_set():
            if monotonic() - self._looked_at > HANGS_S:
                self._health.unready("a server that does not answer")
            self._stopping.wait(INTERVAL_S)

    def _waiting_for(self) -> str | None:
        if not self._verifier.keys.are_known:
            return "the issuer's keys"
        if not self._store.answers():
            return "PostgreSQL"
        if not self._commands.connected:
            return "RabbitMQ"
        # Until Redis has said what was revoked. Later on reads do without it (promise 8), and all
        # instances unready at once would turn a slow service into none.
        return None if self._verifier.revoked.is_known else "Redis"
