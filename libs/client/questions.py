"""Which frame answers what a session has asked.

By clientMessageId, or by what was asked of which conversation. Several may ask the same: one
answer each, in order.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

Frame = dict[str, Any]
Question = tuple[str, str | None]
"""The asking frame's type, and its clientMessageId or conversationId."""
Answer = asyncio.Future[Frame]

ANSWERS: Final = {
    "MESSAGE_SENT": "SEND_MESSAGE",
    "MESSAGE_READ": "MARK_AS_READ",
    "SYNC_RESULT": "SYNC",
    "TOKEN_REFRESHED": "REFRESH_TOKEN",
    "PONG": "PING",
}
"""What each answers, if no ERROR does."""


class Questions:
    """Those of one session that wait for their answer."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Question, list[Answer]] = defaultdict(list)

    @contextmanager
    def asked(self, question: Question) -> Iterator[Answer]:
        """Its answer, an ERROR too, if it comes before the end of the block."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting[question].append(answer)
        try:
            yield answer
        finally:
            self._waiting[question].remove(answer)
            if not self._waiting[question]:
                del self._waiting[question]
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also when sending raised before anybody waited for it

    def answered(self, frame: Frame, user_id: str) -> None:
        """A frame has come that may be an answer; `user_id`: who asks."""
        question = _question(frame, user_id)
        waiting = self._waiting.get(question, ()) if question else ()
        answer = next((answer for answer in waiting if not answer.done()), None)
        if answer is not None:
            answer.set_result(frame)

    def unanswered(self, error: Exception) -> None:
        """No more will come: whoever waits gets the error."""
        for answer in itertools.chain.from_iterable(self._waiting.values()):
            if not answer.done():
                answer.set_exception(error)


def _question(frame: Frame, user_id: str) -> Question | None:
    """What this frame may be the answer to."""
    named = frame["ref"] if frame["type"] == "ERROR" else frame
    asked = named.get("type") if frame["type"] == "ERROR" else ANSWERS.get(frame["type"])
    if asked is None or named.get("readerId", user_id) != user_id:
        return None
    return asked, named.get("clientMessageId" if asked == "SEND_MESSAGE" else "conversationId")
