"""Strict limits: never more than so many of one user's in any window, over all processes.

A sliding log in Redis, by Redis' own clock, decided atomically in one script for one key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from libs.common.cache import Lua
from libs.common.domain.permit import Permit
from libs.common.keys import RATE

_REMEMBER_MS: Final = 30_000
"""For so long a try that was refused stays refused: its event may come again after a crash, when
its sender has been told (promise 10). RabbitMQ gives a dead consumer up within 20 s."""
_REMEMBERED: Final = 500

_PERMIT: Final = Lua("""
-- For each try of ARGV[5..]: 0 and the time (ms) when granted, else 1 and how long to wait (ms).
-- ARGV: limit, window (us), how long (us) and how many refused ones are remembered.
-- A granted try's score is its time, a refused one's its negative time.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local function text(number) return string.format('%.0f', number) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, text(now - window))
redis.call('ZREMRANGEBYSCORE', KEYS[1], text(ARGV[3] - now), -1)
local held = redis.call('ZCOUNT', KEYS[1], 0, '+inf')
local answers = {}
for i = 5, #ARGV do
    local known = redis.call('ZSCORE', KEYS[1], ARGV[i])
    local score = known and tonumber(known) or (held < limit and now or -now)
    if not known then redis.call('ZADD', KEYS[1], text(score), ARGV[i]) end
    if score > 0 then
        if not known then held = held + 1 end
        answers[#answers + 1] = 0
        answers[#answers + 1] = math.floor(score / 1000)
    else
        local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], 0, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        local free = oldest[2] and tonumber(oldest[2]) + window or now + window
        answers[#answers + 1] = 1
        answers[#answers + 1] = math.max(1, math.ceil((free - now) / 1000))
    end
end
local refused = redis.call('ZCOUNT', KEYS[1], '-inf', -1)
if refused > tonumber(ARGV[4]) then
    redis.call('ZREMRANGEBYRANK', KEYS[1], ARGV[4], refused - 1)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(window, tonumber(ARGV[3])) / 1000))
return answers
""")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` of one user's in any `window_ms`. `kind` names it in Redis."""

    kind: str
    most: int
    window_ms: int = 1_000

    def command(
        self, user_id: UUID, tries: Sequence[str | bytes]
    ) -> tuple[Lua, str, *tuple[str | bytes | int, ...]]:
        """For `Batch.script`: the script, its key and its arguments.

        Asking twice about a try gives the same answer and counts once.
        """
        numbers = (self.most, self.window_ms * 1000, _REMEMBER_MS * 1000, _REMEMBERED)
        arguments: tuple[str | bytes | int, ...] = (*numbers, *tries)
        return (_PERMIT, RATE(self.kind, user_id), *arguments)


def permits(answer: Sequence[int]) -> list[Permit]:
    """The script's answer, one permit for each try."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return [Permit(None, number) if refused else Permit(number) for refused, number in pairs]
