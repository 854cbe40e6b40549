"""How long an answer takes tells nothing of others: the same work is done, whatever is theirs.

The REST API in this process, on the stack's servers, with what it asks them written down. Counting
is exact where a clock on a shared machine would not be.
"""

from typing import Any
from uuid import UUID, uuid4

import falcon.testing
import pytest

from libs.common.cache import BlockingCache
from libs.common.config import load
from local import environment
from services.rest_api.commands import Commands
from services.rest_api.openapi import BASE
from services.rest_api.settings import RestSettings
from services.rest_api.store import Store
from tests.integration.conftest import System
from tests.integration.ports import free_port
from tests.integration.watching import until, whole_house

Work = list[tuple[str, ...]]


class Counted:
    """Use the fixture."""

    def __init__(self, app: Any, work: Work) -> None:
        self._client = falcon.testing.TestClient(app)
        self._work = work

    def get(self, path: str, token: str) -> tuple[int, Work]:
        """Status, and what Redis, PostgreSQL and the persister were asked, in order."""
        self._work.clear()
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._client.simulate_get(BASE + path, headers=headers)
        return answer.status_code, self._work.copy()


@pytest.fixture
async def counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    async with whole_house() as house:
        for name, value in environment.load(house.stack.layout).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CHAT_ADMIN_PORT", str(free_port()))
        monkeypatch.setenv("CHAT_INSTANCE", "counted")
        from services.rest_api.wsgi import Service  # noqa: PLC0415 - it reads the settings

        service = Service(load(RestSettings))
        work: Work = []
        write_down(monkeypatch, work)
        service.start()
        try:

            async def is_connected() -> bool:
                return service._commands.connected

            await until(is_connected, 10, "the REST API has RabbitMQ")
            yield Counted(service.app(), work)
        finally:
            service.stop()
            if service._admin is not None:
                service._admin.server_close()


def write_down(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    run, fetch, pass_barriers = BlockingCache.run, Store._fetch, Commands.pass_barriers

    def redis(cache: BlockingCache, *commands: Any) -> Any:
        if commands != (("PING",),):
            work.append(("redis", *(str(command[0])[:8] for command in commands)))
        return run(cache, *commands)

    def postgresql(store: Store, statement: str, parameters: Any, **how: Any) -> Any:
        work.append(("postgresql", statement))
        return fetch(store, statement, parameters, **how)

    def barriers(commands: Commands, partitions: Any) -> Any:
        work.append(("barriers",))
        return pass_barriers(commands, partitions)

    monkeypatch.setattr(BlockingCache, "run", redis)
    monkeypatch.setattr(Store, "_fetch", postgresql)
    monkeypatch.setattr(Commands, "pass_barriers", barriers)


@pytest.fixture
async def theirs(system: System) -> dict[str, str]:
    """A conversation of two others, with a message in it."""
    anna, ben, client_id = uuid4(), uuid4(), uuid4()
    conversation = await system.conversation(anna, ben)
    async with await system.open(anna) as annas:
        await annas.send_message(conversation, "their needle", client_id)
    return {"conversation": str(conversation), "client_id": str(client_id), "ben": str(ben)}


CASES = {
    "a send": ("/messages/by-client-id/{client_id}", 404),
    "a search": ("/messages/search?q=needle&senderId={ben}", 200),
    "a list": ("/conversations?q=needle", 200),
}
"""What a stranger can ask with something of others' in it, without being told that it is theirs."""


@pytest.mark.parametrize("case", CASES)
async def test_the_same_work_with_and_without_others(
    system: System, counted: Counted, theirs: dict[str, str], case: str
) -> None:
    """One stranger asks about what is there, another about what is not."""
    path, status = CASES[case]
    nothing = {name: str(uuid4()) for name in theirs}
    answers = []
    for asked in (theirs, nothing):
        token = system.token(uuid4())
        counted.get(path.format(**nothing), token)  # what the first call of a user costs besides
        answers.append(counted.get(path.format(**asked), token))
    assert answers[0] == answers[1]
    assert answers[0][0] == status
    assert answers[0][1], "nothing was counted"


async def test_the_same_work_for_what_is_others_and_what_is_not_there(
    system: System, counted: Counted, theirs: dict[str, str]
) -> None:
    """403 and 404 differ by contract, what they cost does not."""
    token = system.token(uuid4())
    for path in ("", "/messages", "/sync?after=0"):
        works = []
        for conversation, status in ((theirs["conversation"], 403), (str(uuid4()), 404)):
            one = f"/conversations/{conversation}{path}"
            counted.get(one, token)
            answer, work = counted.get(one, token)
            assert answer == status
            works.append(work)
        assert works[0] == works[1] != []


async def test_it_can_be_told_from_more_work(
    system: System, counted: Counted, pair: tuple[UUID, UUID, UUID]
) -> None:
    """The count is no constant: whose conversation it is has more to read."""
    path = f"/conversations/{pair[2]}"
    own, strange = (counted.get(path, system.token(user)) for user in (pair[0], uuid4()))
    assert (own[0], strange[0]) == (200, 403)
    assert len(own[1]) > len(strange[1])
