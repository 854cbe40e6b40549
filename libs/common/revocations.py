"""What keeps a process's revocation list complete: RabbitMQ tells, Redis is compared with.

A message sessions.revoke is in the list, and so refused and told to `on_change`, before anything
else is done about it. Then it goes to Redis, from where a process that starts, or that was cut off
from RabbitMQ, gets it. A Redis that was emptied gets all back from whoever is alive.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from libs.common import topology
from libs.common.broker import BrokerLost, Channel, Overloaded, Unroutable
from libs.common.cache import CacheError
from libs.common.content import Incoming
from libs.common.domain.revocation import RevocationList, Subject
from libs.common.metrics import DEAD_LETTERS, REVOCATIONS, REVOKED
from libs.common.protocol.codec import REVOKE, UNREADABLE, Malformed, reason_of
from libs.common.protocol.revocations import Revoke
from libs.common.revocation_keys import RevocationKeys

AHEAD_S: Final = 120
"""A `revokedAt` later than that is a mistake: hosts' clocks differ by less."""
COMPARE_S: Final = 1.0
"""From one look at Redis to the next."""
READ_ALL_S: Final = 60.0
"""As many in both may still not be the same ones."""
PAUSE_S: Final = 0.05
"""From one round to the next, however many come."""

_KINDS: Final = {kind: REVOCATIONS.labels(kind) for kind in ("user", "token", "malformed")}
_BURIED: Final = DEAD_LETTERS.labels("revocations")

log = structlog.get_logger()


class Revocations:
    """Use `run`, for the whole life of a process, and `listen` with each broker connection."""

    def __init__(
        self, known: RevocationList, keys: RevocationKeys, on_change: Callable[[], None]
    ) -> None:
        """`on_change`: there is news in `known`."""
        self._known = known
        self._keys = keys
        self._on_change = on_change
        self._channel: Channel | None = None
        self._unwritten: dict[Subject, int] = {}
        self._malformed: list[Malformed] = []
        self._woken = asyncio.Event()
        self._read_all_at = 0.0

    async def listen(self, channel: Channel, process: str) -> None:
        """From its return on, messages come. `process` is unique. Raises BrokerLost."""
        queue = topology.revocations(process)
        await channel.declare(queue)
        await channel.consume(queue.name, self._receive, acknowledged=False)
        self._channel = channel
        # What was published meanwhile is in Redis, if somebody has heard it.
        self._read_all_at = 0.0
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self._compare()
                await self._bury()
            except (CacheError, BrokerLost) as error:
                log.warning("revocations wait", reason=repr(error))
            except Exception:  # Whoever runs this must go on hearing (promise 9).
                log.exception("revocations failed")
            await asyncio.sleep(PAUSE_S)
            try:
                async with asyncio.timeout(COMPARE_S):
                    await self._woken.wait()
            except TimeoutError:
                continue

    # --- RabbitMQ --------------------------------------------------------------------------

    def _receive(self, incoming: Incoming) -> None:
        now = time.time()
        try:
            revoke = REVOKE.decode(incoming.body)
            subject, at = _entry(revoke, now)
        except (ValueError, *UNREADABLE) as error:
            bad = Malformed(incoming.body, reason_of(error))
            log.error("malformed revocation", reason=bad.reason)
            _KINDS["malformed"].inc()
            self._malformed.append(bad)
            self._woken.set()
            return
        _KINDS["token" if revoke.user_id is None else "user"].inc()
        if self._known.add(subject, at):
            self._on_change()
        self._unwritten[subject] = max(at, self._unwritten.get(subject, 0))
        self._woken.set()
        log.info("revoked", user_id=_text(revoke.user_id), token_id=revoke.token_id, at=at)

    async def _bury(self) -> None:
        while self._malformed and self._channel is not None:
            part = self._malformed[0]
            try:
                await self._channel.bury(part.body, source="revocations", reason=part.reason)
                _BURIED.inc()
            except (Overloaded, Unroutable) as error:
                log.error("could not bury a revocation", reason=repr(error))
            self._malformed.pop(0)

    # --- Redis -----------------------------------------------------------------------------

    async def _compare(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        try:
            await self._keys.write(unwritten.items())
        except CacheError:
            self._unwritten = unwritten | self._unwritten
            raise
        oldest, count = await self._keys.count()
        if too_many := self._known.forget(oldest):
            log.error("revocations forgotten: let the issuer's key go", entries=too_many)
        is_due = time.monotonic() - self._read_all_at > READ_ALL_S
        if is_due or count != len(self._known) or not self._known.is_known:
            channel = self._channel
            await self._merge()
            if channel is self._channel:  # Else it was read before `listen` could hear the rest.
                self._known.is_known = True
                self._read_all_at = time.monotonic()
        REVOKED.set(len(self._known))

    async def _merge(self) -> None:
        """Both sides have all afterwards."""
        theirs = await self._keys.read()
        missing = [(one, at) for one, at in self._known.items() if at > theirs.get(one, -1)]
        news = [self._known.add(subject, at) for subject, at in theirs.items()]
        if any(news):
            self._on_change()
        if missing:
            await self._keys.write(missing)
            log.info("revocations put back", entries=len(missing))


def _entry(revoke: Revoke, now: float) -> tuple[Subject, int]:
    """Raises ValueError for a time that hasn't come: it would keep a user out for as long."""
    if revoke.token_id is not None:
        return revoke.token_id, int(now)
    assert revoke.user_id is not None
    at = now if revoke.revoked_at is None else revoke.revoked_at.timestamp()
    if at > now + AHEAD_S:
        raise ValueError("revokedAt is in the future")
    return revoke.user_id, int(at)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
