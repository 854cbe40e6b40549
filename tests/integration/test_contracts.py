"""The contracts as they are served, and calls that nobody thought of, generated from OpenAPI."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID, uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    positive_data_acceptance,
    use_after_free,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from libs.common.protocol import asyncapi
from services.rest_api import openapi
from services.rest_api.documents import contract_json
from tests.integration.conftest import System
from tests.integration.queues import open_queues

EXAMPLES = 20
"""Random ones, for each call; schemathesis adds its own for the edges of every parameter."""

SEQUENCES = settings(
    max_examples=40,
    stateful_step_count=8,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
ROUNDS = 12
"""At most, until each link has been followed."""
MATCH = ("matchId", "user1Id", "user2Id")

Known = Mapping[str, list[str]]
"""By the name that an address has for it: ids of what is there."""


def contract(modes: list[GenerationMode]) -> OpenApiSchema:
    """The contract, from which calls of these kinds are generated."""
    made = schemathesis.openapi.from_dict(openapi.document())
    made.config.generation.update(modes=modes)
    # Fields and parameters that the service doesn't know it ignores: they are no error.
    made.config.generation.allow_extra_parameters = False
    # TRACE and CONNECT the edge refuses by itself.
    made.config.phases.coverage.unexpected_methods = {"get", "post", "put", "patch", "delete"}
    return made


API = contract(list(GenerationMode))
FOLLOWED = {
    *("createConversation", "getConversation", "archiveConversation"),
    *("listMessages", "syncConversation", "getMessage", "deleteMessage", "markMessageRead"),
}
LINKED = contract([GenerationMode.POSITIVE]).include(operation_id=sorted(FOLLOWED))
"""Good calls, of those that links lead to."""


@pytest.mark.parametrize(
    ("address", "document"),
    [("openapi.json", openapi.document()), ("asyncapi.json", asyncapi.document())],
    ids=("openapi", "asyncapi"),
)
async def test_a_contract_is_served_to_everybody(
    system: System, address: str, document: dict[str, Any]
) -> None:
    async with httpx.AsyncClient(base_url=system.base) as anybody:
        answer = await anybody.get(f"/{address}")
        assert (answer.status_code, answer.content) == (200, contract_json(document))
        assert answer.headers["Content-Type"] == "application/json"
        known = {"If-None-Match": answer.headers["ETag"]}
        again = await anybody.get(f"/{address}", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        other = await anybody.get(f"/{address}", headers={"If-None-Match": '"other"'})
        assert other.status_code == 200


async def test_the_page_allows_no_script(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.base) as anybody:
        page = await anybody.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert not [rule for rule in policy if rule.startswith("script-src") or "unsafe" in rule]


@pytest.fixture(scope="module")
def caller() -> UUID:
    return uuid4()


@pytest.fixture(scope="module")
def known(system: System, caller: UUID) -> Known:
    """What generated calls are about: the caller's conversation, and one of others."""

    async def prepare() -> Known:
        ben = uuid4()
        own = await system.conversation(caller, ben)
        foreign = await system.conversation(ben, uuid4())
        client_id = uuid4()
        async with await system.open(caller) as callers, await system.open(ben) as bens:
            sent = [
                await callers.send_message(own, "hello", client_id),
                await bens.send_message(own, "hello yourself"),
                await bens.send_message(foreign, "hello to somebody else"),
            ]
        return {
            "conversationId": [str(own), str(foreign)],
            "messageId": [answer["messageId"] for answer in sent],
            "clientMessageId": [str(client_id)],
        }

    return asyncio.run(prepare())


@API.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.filter_too_much, HealthCheck.too_slow),
)
def test_a_generated_call(
    case: schemathesis.Case[Any], system: System, caller: UUID, known: Known
) -> None:
    """No 5xx, and nothing that isn't documented, whatever comes."""
    name_what_is_there(case, known)
    case.call_and_validate(
        base_url=system.base,
        headers={"Authorization": f"Bearer {token_for(case, system, caller)}"},
        # Not every value that a schema allows is a good one: a cursor has to be one that was given.
        excluded_checks=[positive_data_acceptance],
    )


class Following:
    """A match's conversation, and then whatever the contract's links lead to."""

    system: System
    caller: UUID
    done: ClassVar[set[str]] = set()
    """Operations that have succeeded."""

    def setup(self) -> None:
        """Nothing of an earlier sequence is theirs, so each can be repeated."""
        self.caller = uuid4()

    def before_call(self, case: schemathesis.Case[Any]) -> None:
        """A new match of the caller's, where it is a good one."""
        if isinstance(case.body, dict) and all(is_uuid(case.body.get(name)) for name in MATCH):
            case.body |= {"matchId": str(uuid4()), "user1Id": str(self.caller)}

    def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
        return {
            "base_url": self.system.base,
            "headers": {"Authorization": f"Bearer {token_for(case, self.system, self.caller)}"},
        }

    def after_call(self, response: Any, case: schemathesis.Case[Any]) -> None:
        """What happens by WebSocket between two calls: each writes to the other."""
        super().after_call(response, case)  # type: ignore[misc]
        if response.status_code < 300:
            self.done.add(case.operation.definition.raw["operationId"])
        if response.status_code == 201:
            asyncio.run(self._talk(response.json()))

    async def _talk(self, born: dict[str, Any]) -> None:
        # The caller last: see FollowingLinks.
        for user in sorted(born["userIds"], key=lambda user: user == str(self.caller)):
            async with await self.system.open(UUID(user)) as session:
                await session.send_message(UUID(born["conversationId"]), f"hello from {user}")

    def validate_response(
        self, response: Any, case: schemathesis.Case[Any], **options: Any
    ) -> None:
        # What is deleted or archived is still there, as such.
        but = [positive_data_acceptance, use_after_free, ensure_resource_availability]
        case.validate_response(response, excluded_checks=but, transport_kwargs=options)


class FollowingAny(Following, API.as_state_machine()):  # type: ignore[misc]
    """Also with what no schema allows."""


class FollowingLinks(Following, LINKED.as_state_machine()):  # type: ignore[misc]
    """As a client calls, so that it gets far."""

    def before_call(self, case: schemathesis.Case[Any]) -> None:
        """The oldest message, by SYNC, is the other's: to be read. The newest is the caller's."""
        super().before_call(case)
        match case.operation.definition.raw["operationId"]:
            case "syncConversation":
                case.query = {"after": "0"}
            case "listMessages":
                case.query = {}


def is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def test_calls_that_follow_from_each_other(system: System) -> None:
    """No 5xx, and nothing that isn't documented; every link leads to a call that succeeds."""
    Following.system = system
    FollowingAny.run(settings=settings(SEQUENCES, derandomize=True))
    for _ in range(ROUNDS):
        if Following.done >= FOLLOWED:
            break
        FollowingLinks.run(settings=SEQUENCES)
    assert Following.done >= FOLLOWED, "links lead nowhere"


def token_for(case: schemathesis.Case[Any], system: System, caller: UUID) -> str:
    needs_service = case.operation.definition.raw.get("security") == [{"service": []}]
    return system.service_token() if needs_service else system.token(caller)


def name_what_is_there(case: schemathesis.Case[Any], known: Known) -> None:
    """Half of the generated ids become ids of what exists."""
    for name, value in (case.path_parameters or {}).items():
        try:
            number = UUID(value).int
        except (ValueError, AttributeError, TypeError):
            continue  # no id on purpose
        if number % 2:
            case.path_parameters[name] = known[name][number // 2 % len(known[name])]


async def test_generated_calls_buried_nothing(system: System) -> None:
    """Whatever passed the REST API's checks, the router and the persister could work with."""
    async with open_queues() as queues:
        assert await queues.take_dead() == []
