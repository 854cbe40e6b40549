"""HTTP through the edge, on the real addresses."""

from uuid import UUID

import pytest

from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


async def test_what_a_client_polls_has_a_tag(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as phone, system.rest(ben) as rest:
        sent = await phone.send_message(conversation, "one")
        for path in (
            "/conversations",
            f"/conversations/{conversation}",
            f"/conversations/{conversation}/messages",
            f"/messages/{sent['messageId']}",
            "/unread",
        ):
            first = await rest.get(path)
            assert first.headers["cache-control"] == "private, no-cache"
            known = {"If-None-Match": first.headers["etag"]}
            again = await rest.get(path, headers=known)
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["etag"] == first.headers["etag"]
            head = await rest.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["etag"] == first.headers["etag"]
            if path != f"/messages/{sent['messageId']}":
                await phone.send_message(conversation, "another")
                changed = await rest.get(path, headers=known)
                assert changed.status_code == 200, path


async def test_a_long_page_is_compressed(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    path = f"/conversations/{conversation}/messages"
    async with await system.open(anna) as phone, system.rest(anna) as rest:
        for _ in range(10):
            await phone.send_message(conversation, "long " * 100)
        packed = await rest.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await rest.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.json() == plain.json()
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
        assert "Accept-Encoding" in packed.headers["vary"]
        assert "Accept-Encoding" in plain.headers["vary"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/conversations", {"GET", "HEAD", "POST"}),
        ("/conversations/{}", {"GET", "HEAD", "DELETE"}),
        ("/conversations/{}/messages", {"GET", "HEAD"}),
        ("/conversations/{}/sync", {"GET", "HEAD"}),
        ("/messages/{}", {"GET", "HEAD", "DELETE"}),
        ("/messages/{}/read", {"PUT"}),
        ("/messages/by-client-id/{}", {"GET", "HEAD"}),
        ("/messages/search", {"GET", "HEAD"}),
        ("/unread", {"GET", "HEAD"}),
    ],
)
async def test_what_each_address_allows(
    system: System, pair: Pair, path: str, methods: set[str]
) -> None:
    address = path.format(pair[2])
    async with system.rest(pair[0]) as rest:
        options = await rest.options(address)
        assert options.status_code == 200
        assert set(options.headers["allow"].split(", ")) == methods
        del rest.headers["Authorization"]
        assert (await rest.options(address)).headers["allow"] == options.headers["allow"]
    async with system.rest(pair[0]) as rest:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
            refused = await rest.request(method, address)
            assert (refused.status_code, refused.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
            assert methods <= set(refused.headers["allow"].split(", "))
            assert refused.headers["cache-control"] == "no-store"
        assert (await rest.get(f"{address}/")).status_code == 404


async def test_calls_are_counted_and_named(system: System, pair: Pair) -> None:
    async with system.rest(pair[0]) as rest:
        answer = await rest.get("/conversations")
    assert answer.headers["ratelimit-policy"].startswith('"calls";q=')
    assert answer.headers["ratelimit"].startswith('"calls";r=')
    assert len(answer.headers["x-request-id"]) == 32, "the edge's own"
