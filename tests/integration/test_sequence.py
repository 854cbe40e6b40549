"""Redis' arbiter of sequence numbers, `seq:{conversation}`: read, lost and rebuilt (promise 8)."""

from uuid import UUID

from tests.integration.conftest import System
from tests.integration.keys import Keys, open_keys

Pair = tuple[UUID, UUID, UUID]


async def arbiter(keys: Keys, conversation: UUID) -> tuple[int, int] | None:
    """Epoch and head."""
    value = await keys.redis.get(f"seq:{conversation}")
    if value is None:
        return None
    epoch, _, head = value.decode().partition(":")
    return int(epoch), int(head)


async def test_numbers_go_on_after_redis_was_emptied(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with open_keys() as keys, await system.open(anna) as annas:
        first = await annas.send_message(conversation, "before")
        known = await arbiter(keys, conversation)
        assert known is not None
        assert known[1] == first["seq"]
        await keys.empty()
        assert await arbiter(keys, conversation) is None
        second = await annas.send_message(conversation, "after")
        assert second["seq"] == first["seq"] + 1
        rebuilt = await arbiter(keys, conversation)
        assert rebuilt is not None
        assert rebuilt[1] == second["seq"]
    assert [item["seq"] for item in await system.history(ben, conversation)] == [2, 3]
