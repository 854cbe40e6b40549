"""Search: what is found, what never is, in which order, and the same with and without indexes."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from local.roles import REST
from services.rest_api.finding import READ_FIRST
from tests.integration.conftest import System
from tests.integration.watching import House, until, whole_house

Pair = tuple[UUID, UUID, UUID]


async def search(rest: httpx.AsyncClient, q: str, **query: object) -> list[Any]:
    """All pages' items."""
    found: list[Any] = []
    parameters: dict[str, Any] = {"q": q, **query}
    while True:
        answer = await rest.get("/messages/search", params=parameters)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return found
        parameters["cursor"] = cursor


def contents(hits: Sequence[Any]) -> list[str]:
    return [hit["content"] for hit in hits]


TEXTS = (
    "Shall we have coffee tomorrow?",
    "Coffeehouse on Main Street, good night",
    "good morning, night owl",
    "ok, hi there",
    "我们明天去咖啡馆吧",
    "明日コーヒーを飲みませんか",
    "พรุ่งนี้ไปกินกาแฟกันไหม",
    "50% off_sale",
)


ASKED: tuple[tuple[str, list[int]], ...] = (
    ("COFFEE", [1, 0]),
    ("coff", [1, 0]),
    ("ffee", [1, 0]),
    ("coffee tomorrow", [0]),
    ('"good night"', [1]),
    ("good night", [2, 1]),
    ("coffee -tomorrow", [1]),
    ('good -"good night"', [2]),
    ("tomorrow or owl", [2, 0]),
    ("hi", [3]),
    ("ht", []),
    ("明", [5, 4]),
    ("明天", [4]),
    ("咖啡馆", [4]),
    ("天明", []),
    ("コーヒー", [5]),
    ("กาแฟ", [6]),
    ("f_s", [7]),
    ("fXs", []),
    ("50%", [7]),
    ("main street owl", []),
)


async def test_the_query_language(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(ben) as phone, system.rest(anna) as rest:
        for text in TEXTS:
            await phone.send_message(conversation, text)
        for asked, found in ASKED:
            hits = await search(rest, asked)
            assert contents(hits) == [TEXTS[n] for n in found], asked


async def test_what_was_acknowledged_is_found_at_once(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as phone, system.rest(ben) as rest:
        for n in range(10):
            sent = await phone.send_message(conversation, f"needle number {n}")
            [hit] = await search(rest, f'"number {n}"')
            assert hit["messageId"] == sent["messageId"]
            assert hit["highlight"] == [{"start": 7, "end": 15}]


async def test_highlights_are_code_points(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with await system.open(anna) as phone, system.rest(anna) as rest:
        await phone.send_message(conversation, "👋🏽 Hello, hello 你好!")
        [hit] = await search(rest, "hello 你好")
    marked = [hit["content"][span["start"] : span["end"]] for span in hit["highlight"]]
    assert marked == ["Hello", "hello", "你好"]


async def test_only_own_conversations_and_no_deleted_messages(system: System) -> None:
    anna, ben, carl = uuid4(), uuid4(), uuid4()
    word = f"word{uuid4().hex[:8]}"
    with_ben, with_carl = [await system.conversation(anna, other) for other in (ben, carl)]
    others = await system.conversation(ben, carl)
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as bens,
        system.rest(anna) as rest,
        system.rest(ben) as bens_rest,
    ):
        await annas.send_message(with_ben, f"{word} 1")
        reply = await bens.send_message(with_ben, f"{word} 2")
        await annas.send_message(with_carl, f"{word} 3")
        await bens.send_message(others, f"{word} secret")
        assert contents(await search(rest, word)) == [f"{word} {n}" for n in (3, 2, 1)]
        only = await search(rest, word, conversationId=with_ben)
        assert contents(only) == [f"{word} {n}" for n in (2, 1)]
        assert contents(await search(rest, word, senderId=ben)) == [f"{word} 2"]
        foreign = await rest.get(
            "/messages/search", params={"q": word, "conversationId": str(others)}
        )
        assert (foreign.status_code, foreign.json()["code"]) == (403, "NOT_PARTICIPANT")
        missing = await rest.get(
            "/messages/search", params={"q": word, "conversationId": str(uuid4())}
        )
        assert (missing.status_code, missing.json()["code"]) == (404, "CONVERSATION_NOT_FOUND")
        deleted = await bens_rest.delete(f"/messages/{reply['messageId']}")
        assert deleted.status_code == 204
        assert contents(await search(rest, word)) == [f"{word} {n}" for n in (3, 1)]
        assert (await rest.delete(f"/conversations/{with_carl}")).status_code == 204
        assert contents(await search(rest, word)) == [f"{word} {n}" for n in (3, 1)], "archived"


async def test_times_and_pages_that_survive_new_messages(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with await system.open(anna) as phone, system.rest(anna) as rest:
        sent = [await phone.send_message(conversation, f"walk {n}") for n in range(7)]
        third = sent[3]["timestamp"]
        later = [one for one in sent if one["timestamp"] > third]
        earlier = [one for one in sent if one["timestamp"] < third]
        for name, expected in (("after", later), ("before", earlier)):
            hits = await search(rest, "walk", **{name: third})
            assert [hit["messageId"] for hit in hits] == [
                one["messageId"] for one in reversed(expected)
            ]
        page = (await rest.get("/messages/search?q=walk&limit=3")).json()
        await phone.send_message(conversation, "walk again")
        rest_of_it = await search(rest, "walk", limit=3, cursor=page["nextCursor"])
        assert contents(page["items"] + rest_of_it) == [f"walk {n}" for n in reversed(range(7))]


async def test_what_is_no_search(system: System, pair: Pair) -> None:
    async with system.rest(pair[0]) as rest:
        for query in (
            *("", "?q=", "?q=%21%21", "?q=-tea", f"?q={'x' * 201}", "?q=tea%00"),
            *("?q=tea&limit=101", "?q=tea&cursor=x", "?q=tea&before=yesterday"),
            *("?q=tea&conversationId=x", "?q=tea&senderId=x"),
        ):
            answer = await rest.get(f"/messages/search{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FIELD"), query
        assert (await rest.get("/conversations?q=-")).status_code == 400


async def test_conversations_that_have_it(system: System) -> None:
    anna = uuid4()
    word = f"word{uuid4().hex[:8]}"
    conversations = [await system.conversation(anna, uuid4()) for _ in range(4)]
    async with await system.open(anna) as phone, system.rest(anna) as rest:
        for conversation in (conversations[2], conversations[0], conversations[1]):
            await phone.send_message(conversation, "hello")
        for conversation in (conversations[0], conversations[2]):
            await phone.send_message(conversation, f"say {word}")
        await phone.send_message(conversations[0], "and more")
        found, parameters = [], {"q": word, "limit": "1"}
        while True:
            page = (await rest.get("/conversations", params=parameters)).json()
            found += [UUID(item["conversationId"]) for item in page["items"]]
            if page["nextCursor"] is None:
                break
            parameters["cursor"] = page["nextCursor"]
        assert found == [conversations[0], conversations[2]]
        assert (await rest.get("/conversations?q=absent")).json()["items"] == []
        everything = (await rest.get("/conversations?q=hello or say")).json()["items"]
        assert len(everything) == 3


async def fill(house: House, conversation: UUID, sender: UUID, count: int) -> None:
    """Messages straight into PostgreSQL, one a second up to now; the oldest say `needle`."""
    await house.database.execute(
        """
        insert into messages (id, conversation_id, sender_id, content, status, created_at, seq,
                              changed_seq)
        select gen_random_uuid(), $1, $2,
               case when n <= 3 then 'an old needle 针线 no ' || n else 'hay number ' || n end,
               'READ', now() - ($3 - n) * interval '1 second', n + 1, n + 1
        from generate_series(1, $3) as n
        """,
        conversation,
        sender,
        count,
    )
    await house.database.execute(
        "update conversations set head = $2 where id = $1", conversation, count + 1
    )


async def test_a_long_conversation_is_indexed_once_it_is_searched(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    async with whole_house() as house, system.rest(anna) as rest:
        await fill(house, conversation, ben, READ_FIRST + 500)
        others = await system.conversation(anna, uuid4())
        asked = {"needle": 3, "eedl": 3, "针": 3, "针线": 3, "no or absent": 3, '"old needle"': 3}
        expected = [f"an old needle 针线 no {n}" for n in (3, 2, 1)]

        async def finds_all() -> None:
            for q, count in asked.items():
                assert contents(await search(rest, q, limit=2)) == expected[:count], q
            assert contents(await search(rest, '"no 2" needle')) == [expected[1]]
            assert contents(await search(rest, "needle -1")) == expected[:2]
            assert await search(rest, "needle", senderId=anna) == []
            [found] = (await rest.get("/conversations?q=needle")).json()["items"]
            assert found["conversationId"] == str(conversation)
            assert len(await search(rest, "hay", limit=100)) == READ_FIRST + 497

        await finds_all()

        async def is_indexed() -> bool:
            columns = "indexed_seq = head"
            return bool(
                await house.database.fetchval(
                    f"select {columns} from conversations where id = $1", conversation
                )
            )

        await until(is_indexed, 30, "the conversation that was searched is indexed")
        await finds_all()
        # As if the index had not heard of a deletion yet.
        await house.database.execute(
            "update messages set content = null, deleted_at = now() where content = $1", expected[1]
        )
        assert contents(await search(rest, "needle")) == [expected[0], expected[2]]
        assert contents(await search(rest, "needle", limit=1)) == [expected[0], expected[2]]
        since = (await search(rest, "needle"))[0]["timestamp"]
        later = datetime.fromisoformat(since) + timedelta(milliseconds=1)
        assert await search(rest, "needle", after=later.isoformat()) == []
        async with await system.open(anna) as phone:
            await phone.send_message(others, "a new needle")
        assert contents(await search(rest, "needle"))[0] == "a new needle"


# ------------------------------------------------------------------ no user's searches stop others


@asynccontextmanager
async def held(table: str) -> AsyncIterator[None]:
    """Whoever reads the table waits."""
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    try:
        async with database.transaction():
            await database.execute(f"LOCK TABLE {table}")
            yield
    finally:
        await database.close()


async def test_too_many_terms_are_refused(system: System, pair: Pair) -> None:
    asked = "tea " + " ".join(f"-{n}" for n in range(40))
    async with system.rest(pair[0]) as rest:
        for path in ("/messages/search", "/conversations"):
            answer = await rest.get(path, params={"q": asked})
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FIELD")


async def test_a_user_has_few_searches_at_once(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with whole_house(), await system.open(anna) as phone, system.rest(anna) as rest:
        await phone.send_message(conversation, "tea")
        await search(rest, "tea")  # so nothing is on its way to the table
        async with held("messages"):
            running = [asyncio.create_task(rest.get("/messages/search?q=tea")) for _ in range(20)]
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            assert {one.result().status_code for one in done} == {429}
        answers = await asyncio.gather(*running)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) < len(answers)
    assert {(one.json()["code"], one.headers["Retry-After"]) for one in refused} == {
        ("RATE_LIMITED", "1")
    }


async def test_calls_that_hold_every_connection_turn_no_instance_unready(
    system: System, pair: Pair
) -> None:
    anna, _, conversation = pair
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE usename = 'chat_rest' AND wait_event_type = 'Lock'"
    )
    probes = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE usename = 'chat_rest' AND query = 'select 1' AND query_start > $1"
    )
    async with whole_house() as house, system.rest(anna) as rest:
        instances = house.programs(REST)
        async with held("late_changes"):
            path = f"/conversations/{conversation}/sync?after=0"
            calls = [asyncio.create_task(rest.get(path)) for _ in range(20 * len(instances))]

            async def is_full() -> bool:
                return int(await house.database.fetchval(waiting)) == 8 * len(instances)

            await until(is_full, 5, "calls hold all connections")
            full_at = await house.database.fetchval("SELECT clock_timestamp()")

            async def has_looked() -> bool:
                looked = int(await house.database.fetchval(probes, full_at)) == len(instances)
                return looked or not all([await house.is_ready(one) for one in instances])

            await until(has_looked, 10, "each has asked PostgreSQL, or is unready")
            assert all([await house.is_ready(one) for one in instances])
        await asyncio.gather(*calls)
