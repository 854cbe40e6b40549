"""What changed after a number, by SQL: pages of whole entries in order, without an index on it."""

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.protocol.writes import DeleteContent, Entry, InsertMessage, MarkDelivered, MarkRead
from tests.integration.shelf import Shelf, open_shelf, shelf_in
from tests.unit.test_persister_fold import (
    conversation_id,
    created,
    deleted,
    delivered,
    message_id,
    read,
    sent,
)

CONVERSATION = conversation_id(0)
ENTRY_MOST = 50


class Log(NamedTuple):
    entries: list[Entry]
    changed: dict[UUID, int]
    """Message → its newest entry."""

    @property
    def head(self) -> int:
        return self.entries[-1].seq

    def page(self, after: int, most: int) -> list[tuple[UUID, int]]:
        """What the function shall give: message and changed_seq."""
        order = sorted((seq, message) for message, seq in self.changed.items() if seq > after)
        end = order[most - 1][0] if len(order) >= most else self.head
        return [(message, seq) for seq, message in order if seq <= end]


class Change(NamedTuple):
    """Of `length` messages in a row, beginning at a thousandth of those that were sent."""

    kind: str
    begin: int
    length: int


def log_of(steps: list[int | Change]) -> Log:
    """A number is so many messages."""
    log: list[Entry] = [created(0)]
    sent_seqs: list[int] = []
    for step in steps:
        if isinstance(step, int):
            first = len(log) + 1
            sent_seqs += range(first, first + step)
            log += [sent(0, seq) for seq in range(first, first + step)]
            continue
        begin = len(sent_seqs) * step.begin // 1000
        _change(log, step.kind, sent_seqs[begin : begin + step.length])
    changed: dict[UUID, int] = {}
    for entry in log:
        match entry:
            case InsertMessage() | DeleteContent():
                changed[entry.message_id] = entry.seq
            case MarkDelivered() | MarkRead():
                changed.update(dict.fromkeys(entry.message_ids, entry.seq))
    return Log(log, changed)


def _change(log: list[Entry], kind: str, seqs: list[int]) -> None:
    gone = {entry.message_id for entry in log if isinstance(entry, DeleteContent)}
    seqs = [seq for seq in seqs if message_id(0, seq) not in gone]
    if kind == "deleted":
        log += [deleted(0, len(log) + 1 + i, seq) for i, seq in enumerate(seqs[:3])]
        return
    mark = read if kind == "read" else delivered
    for i in range(0, len(seqs), ENTRY_MOST):
        log.append(mark(0, len(log) + 1, *seqs[i : i + ENTRY_MOST]))


CHANGES = st.builds(
    Change,
    st.sampled_from(["delivered", "read", "deleted"]),
    st.integers(0, 999),
    st.integers(1, 130),
)


@st.composite
def stored_logs(draw: st.DrawFn) -> tuple[Log, list[list[Entry]]]:
    """A log with changes near and far, and the batches in which it comes; some come twice."""
    steps = st.lists(st.integers(1, 330) | CHANGES | CHANGES, min_size=1, max_size=9)
    log = log_of(draw(steps))
    sizes = draw(st.lists(st.sampled_from([5, 40, 400, 2_000]), min_size=1, max_size=4))
    batches: list[list[Entry]] = []
    done = 0
    for size in cycle(sizes):
        if done >= len(log.entries):
            return log, batches
        batches.append(log.entries[done : done + size])
        if draw(st.booleans()):
            batches.append(batches[-1][size // 2 :])
        done += size
    raise AssertionError("sizes are never empty")


def test_every_page_after_every_number_is_what_changed_next() -> None:
    """So paging, from any number on, gives each message with its newest state."""
    with asyncio.Runner() as runner, shelf_in(runner) as shelf:

        @settings(max_examples=12, deadline=None)
        @given(stored_logs())
        def check(example: tuple[Log, list[list[Entry]]]) -> None:
            log, batches = example
            runner.run(shelf.empty())
            runner.run(shelf.put(*batches))
            for most, step in ((10, 1), (1, 7), (200, 7)):
                pages = runner.run(pages_of(shelf, log.head, most, step))
                expected = {after: log.page(after, most) for after in range(0, log.head + 1, step)}
                assert pages == expected, f"pages of {most}"

        check()


async def pages_of(
    shelf: Shelf, head: int, most: int, step: int
) -> dict[int, list[tuple[UUID, int]]]:
    """The first page after each number from 0 to head."""
    rows = await shelf.database.fetch(
        "select after, id, changed_seq from generate_series(0, $2::int, $4::int) as after "
        "left join lateral messages_changed_after($1, after, $3) with ordinality on true "
        "order by after, ordinality",
        CONVERSATION,
        head,
        most,
        step,
    )
    pages: dict[int, list[tuple[UUID, int]]] = {}
    for row in rows:
        page = pages.setdefault(row["after"], [])
        if row["id"] is not None:
            page.append((row["id"], row["changed_seq"]))
    return pages


async def page_of(shelf: Shelf, after: int, most: int) -> list[dict[str, Any]]:
    rows = await shelf.database.fetch(
        "select * from messages_changed_after($1, $2, $3)", CONVERSATION, after, most
    )
    return [dict(row) for row in rows]


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with open_shelf() as shelf:
        yield shelf


LONG = log_of([6_000, Change("read", 0, 3_000)])
"""The older half was read only at the end: entries 6002 to 6061."""


@pytest.fixture
async def long(shelf: Shelf) -> Shelf:
    entries = LONG.entries
    await shelf.put(*(entries[i : i + 2_000] for i in range(0, len(entries), 2_000)))
    return shelf


async def rows_read(shelf: Shelf) -> int:
    """Of messages, on this connection."""
    count: int = await shelf.database.fetchval(
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) "
        "from pg_stat_xact_user_tables where schemaname = 'shelf' and relname = 'messages'"
    )
    return count


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("after", [5_990, 6_001, 6_031, 6_060, 6_061])
async def test_a_page_near_the_head_reads_nothing_of_the_long_log_before_it(
    long: Shelf, after: int, analyzed: bool
) -> None:
    """Whatever the planner knows of the tables: at most some rows for each row of the page."""
    if analyzed:
        await long.database.execute("analyze messages, late_changes, conversations")
    async with long.database.transaction():
        before = await rows_read(long)
        page = await page_of(long, after, 100)
        count = await rows_read(long) - before
    assert [(row["id"], row["changed_seq"]) for row in page] == LONG.page(after, 100)
    assert count <= 2 * 256 + 5 * len(page)


async def test_paging_through_all_of_it_reads_some_rows_for_each(long: Shelf) -> None:
    after, seen = 0, []
    async with long.database.transaction():
        before = await rows_read(long)
        while page := await page_of(long, after, 200):
            seen += [(row["id"], row["changed_seq"]) for row in page]
            after = page[-1]["changed_seq"]
        count = await rows_read(long) - before
    assert seen == LONG.page(0, len(LONG.changed))
    assert count <= 10 * len(seen)


async def test_what_is_unread_is_counted_from_the_mark_on(shelf: Shelf) -> None:
    reader = UUID(int=902)
    sends: list[Entry] = [sent(0, seq) for seq in range(2, 3_002)]
    ids = range(2, 2_990, ENTRY_MOST)
    log: list[Entry] = [created(0), *sends]
    for first in ids:
        named = range(first, min(first + ENTRY_MOST, 2_990))
        log.append(read(0, len(log) + 1, *named, up_to=(0, named[-1])))
    log.append(deleted(0, len(log) + 1, 2_995))
    await shelf.put(log[:2_000], log[2_000:])
    async with shelf.database.transaction():
        before = await rows_read(shelf)
        unread = await shelf.database.fetchval("select unread_count($1, $2)", CONVERSATION, reader)
        assert await rows_read(shelf) - before <= 20
    assert unread == 3_001 - 2_990 + 1 - 1
    mine = await shelf.database.fetchval("select unread_count($1, $2)", CONVERSATION, UUID(int=901))
    assert mine == 0
