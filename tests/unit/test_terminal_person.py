"""The shell of the terminal chat, against a service that says on cue what is rare in the real one.

Real sockets; tests/integration/test_terminal_chat.py has it against the real service.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from local.terminal.person import Person
from tests.unit.on_cue import ME, WAIT_S, C, Frame, say, welcome, when
from tests.unit.test_terminal_conversation import item, row


class Service:
    """Answers REST with the next of `rows`, with the last one for ever."""

    def __init__(self, *rows: Frame) -> None:
        self.connection: asyncio.Future[ServerConnection] = asyncio.Future()
        self._rows = [{**one, "conversationId": str(C)} for one in rows]

    async def meet(self, connection: ServerConnection) -> None:
        await welcome(connection, head=0)
        self.connection.set_result(connection)
        await connection.wait_closed()

    async def say(self, kind: str, **fields: object) -> None:
        await say(await self.connection, kind, **{**fields, "conversationId": C})

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path.endswith("/ws"):
            return None
        one = self._rows.pop(0) if len(self._rows) > 1 else self._rows[0]
        is_list = "/conversations?" in request.path
        # The only one would be opened by itself.
        body = {"items": [one, row()], "nextCursor": None} if is_list else one
        return connection.respond(HTTPStatus.OK, json.dumps(body))


@asynccontextmanager
async def person_of(service: Service) -> AsyncIterator[Person]:
    """With the list of conversations loaded, and none of them open."""

    async def token(*, fresh: bool) -> str:
        return f"fresh: {fresh}"

    async with serve(service.meet, "127.0.0.1", 0, process_request=service.answer) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        edge = f"http://127.0.0.1:{port}"
        person = Person(edge, ME, token, changed=lambda: None, tell=lambda _: None)
        staying = asyncio.create_task(person.stay())
        try:
            async with asyncio.timeout(WAIT_S):
                await when(lambda: person.is_listed)
                yield person
        finally:
            staying.cancel()
            await asyncio.wait([staying])


async def test_a_row_that_is_older_than_what_has_been_told_is_asked_for_again() -> None:
    """Else what SYNC brought is never counted."""
    old, late, new = row(3), row(8, unreadCount=5), row(9, unreadCount=6)
    service = Service(old, late, late, new)
    async with person_of(service) as person:
        await service.say("MESSAGE_RECEIVED", **item(9))
        missed = [item(seq, changedSeq=seq) for seq in range(4, 9)]
        await service.say("SYNC_RESULT", messages=missed, head=8, complete=True)
        await when(lambda: person.conversations[C].unread == 6)
