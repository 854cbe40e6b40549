"""What bounds a client whose frames are limited nowhere else. Pure: `now` is in seconds since 1970.

What goes to the router has limits of its own. The rest the gateway answers by itself: PING,
REFRESH_TOKEN, what can't be decoded. Refusing one costs as much as answering it, and so does a
WebSocket ping; so what is refused has a limit, too. Who goes on beyond that doesn't listen.
"""

from typing import Final, Literal

from libs.common.protocol.closes import Close
from libs.common.protocol.frames import ErrorRef
from services.ws_gateway.allowance import Allowance
from services.ws_gateway.effects import Effects, End, refusal

EXCESS: Final = 10
"""So many times what is answered may be refused. A client that asks for all its conversations at
once gets hundreds of refusals with `retryAfterMs`, and means no harm."""


class Throttle:
    """One session's. Made with the first such frame: most sessions send none."""

    __slots__ = ("_allowance", "_per_second")

    def __init__(self, per_second: int) -> None:
        self._allowance: Allowance[Literal["answered", "refused"]] = Allowance()
        self._per_second = per_second

    def hold_up(self, ref: ErrorRef, now: float) -> Effects:
        """What to do with a frame instead of answering it; nothing, if it may be answered."""
        wait_ms = self._allowance.take("answered", self._per_second, now)
        if not wait_ms:
            return ()
        return self.bear((refusal("RATE_LIMITED", ref, retry_after_ms=wait_ms),), now)

    def bear(self, effects: Effects, now: float) -> Effects:
        """What comes of a frame that led to nothing; with the end, where these are too many.

        4429 and not 4400, which is final: a burst after a pause may be a network's doing.
        """
        if self._allowance.take("refused", self._per_second * EXCESS, now):
            return (*effects, End(Close.TOO_MANY, "RATE_LIMITED"))
        return effects
