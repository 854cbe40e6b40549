"""The audit log: what is deleted or archived leaves one row each, chained to the one before."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from libs.common.protocol.writes import ArchiveConversation, DeleteContent, Entry
from services.persister.store import Store
from tests.integration.shelf import Shelf, open_shelf
from tests.unit.test_persister_fold import (
    archived,
    conversation_id,
    created,
    deleted,
    message_id,
    sent,
)

VERIFY = Path(__file__).parents[2] / "migrations" / "verify_audit_log.py"


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with open_shelf() as shelf:
        yield shelf


async def audit_log(shelf: Shelf) -> list[tuple[object, ...]]:
    rows = await shelf.database.fetch(
        "select action, actor_id, conversation_id, message_id, detail::text "
        "from audit_log order by id"
    )
    return [tuple(row) for row in rows]


async def test_a_deletion_leaves_a_tombstone_and_one_row(shelf: Shelf) -> None:
    deletion = deleted(0, 4, 2)
    await shelf.put([created(0), sent(0, 2), sent(0, 3)], [deletion], [deletion], [deletion])
    rows = await shelf.database.fetch(
        "select seq, changed_seq, content, extract(epoch from deleted_at) * 1000 as at "
        "from messages order by seq"
    )
    expected = [(2, 4, None, deletion.deleted_at), (3, 3, "hello", None)]
    assert [tuple(row) for row in rows] == expected
    ids = deletion.actor_id, deletion.conversation_id, deletion.message_id
    assert await audit_log(shelf) == [("message.deleted", *ids, '{"seq": 4}')]


async def test_a_message_deleted_in_the_batch_that_brings_it(shelf: Shelf) -> None:
    batch: list[Entry] = [created(0), sent(0, 2), deleted(0, 3, 2)]
    await shelf.put(batch, batch)
    assert await shelf.database.fetchval("select content from messages") is None
    assert len(await audit_log(shelf)) == 1


async def test_an_archiving_leaves_one_row(shelf: Shelf) -> None:
    """Its actor is nobody when the match was removed."""
    by_user = ArchiveConversation(conversation_id(1), 2, UUID(int=901), 5_000)
    await shelf.put([created(0), created(1)], [archived(0, 2), by_user], [by_user, archived(0, 2)])
    assert await audit_log(shelf) == [
        ("conversation.archived", actor, conversation_id(number), None, '{"seq": 2}')
        for number, actor in ((0, None), (1, UUID(int=901)))
    ]
    rows = await shelf.database.fetch(
        "select archived_seq, extract(epoch from archived_at) * 1000 from conversations order by id"
    )
    assert [tuple(row) for row in rows] == [(2, archived(0, 2).archived_at), (2, 5_000)]


async def test_a_batch_that_fails_audits_nothing(shelf: Shelf) -> None:
    too_late = DeleteContent(conversation_id(0), 4, message_id(0, 3), UUID(int=901), 2**62)
    await shelf.put([created(0), sent(0, 2), sent(0, 3)])
    with pytest.raises(asyncpg.DataError):
        await shelf.store.write([deleted(0, 5, 2), too_late])
    assert await audit_log(shelf) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set action = 'nothing'",
        "delete from audit_log",
        "truncate audit_log",
    ],
)
async def test_it_is_append_only(shelf: Shelf, statement: str) -> None:
    await shelf.put([created(0), sent(0, 2), deleted(0, 3, 2)])
    with pytest.raises(asyncpg.RaiseError, match="append only"):
        await shelf.database.execute(statement)
    assert len(await audit_log(shelf)) == 1


# ------------------------------------------------------------------ the chain


async def test_two_persisters_at_once_make_one_chain(shelf: Shelf) -> None:
    """Each audits several rows by one statement."""
    most = 12
    await shelf.put(
        [entry for number in (0, 1) for entry in (created(number), *sends(number, most * 3))]
    )
    other = Store(shelf.url)

    async def delete(store: Store, number: int) -> None:
        for first in range(2, most * 3, 3):
            seq = 100 + first
            batch: list[Entry] = [deleted(number, seq + i, first + i) for i in range(3)]
            assert await store.write(batch) == []

    await asyncio.gather(delete(shelf.store, 0), delete(other, 1))
    other.close()
    assert len(await audit_log(shelf)) == 2 * most * 3
    code, said = await verify(shelf.url)
    assert (code, f"{2 * most * 3} rows are fine" in said) == (0, True)


def sends(number: int, count: int) -> list[Entry]:
    return [sent(number, seq) for seq in range(2, 2 + count)]


async def verify(url: str, *known: str) -> tuple[int, str]:
    """What `make audit-verify` does: its exit code, and all that it prints."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, str(VERIFY), *known),
        env={**os.environ, "CHAT_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    return program.returncode or 0, said.decode()


@pytest.fixture
async def six(shelf: Shelf) -> Shelf:
    """With six rows in the audit log."""
    await shelf.put([created(0), *sends(0, 6)])
    await shelf.put([deleted(0, 8 + seq, seq) for seq in range(2, 8)])
    return shelf


async def test_an_untouched_log_is_fine(six: Shelf) -> None:
    code, said = await verify(six.url)
    newest: bytes = await six.database.fetchval("select hash from audit_log where id = 6")
    assert (code, said) == (0, f"audit_log: 6 rows are fine. Newest hash: {newest.hex()}\n")
    await six.put([created(1), archived(1, 2)])
    code, said = await verify(six.url, newest.hex())
    assert (code, "7 rows are fine" in said) == (0, True)


async def test_an_empty_log_is_fine(shelf: Shelf) -> None:
    assert await verify(shelf.url) == (0, "audit_log: 0 rows are fine. Newest hash: none\n")


async def test_a_session_cannot_put_its_own_in_the_log_s_place(six: Shelf) -> None:
    """Where it may make temporary tables, which the roles may not."""
    await six.database.execute(
        """
        create temporary table audit_log (like shelf.audit_log);
        insert into pg_temp.audit_log (id, at, action, detail, hash)
            values (9223372036854775806, now(), '', '{}', 'forged');
        create domain pg_temp.text as varchar(1);
        insert into shelf.audit_log (action) values ('nothing'::pg_catalog.text)
        """
    )
    await six.put([created(1), archived(1, 2)])
    code, said = await verify(six.url)
    assert (code, "8 rows are fine" in said) == (0, True), said


async def behind_its_back(shelf: Shelf, statement: str) -> None:
    """As the table's owner can."""
    await shelf.database.execute(
        f"alter table audit_log disable trigger user; {statement};"
        "alter table audit_log enable trigger user"
    )


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("update audit_log set actor_id = gen_random_uuid() where id = 3", "row 3 was changed"),
        ("update audit_log set at = at + interval '1 us' where id = 3", "row 3 was changed"),
        ("update audit_log set detail = '{}' where id = 6", "row 6 was changed"),
        ("update audit_log set hash = null where id = 2", "row 2 was changed"),
        ("delete from audit_log where id = 4", "row 4 is missing"),
        ("delete from audit_log where id = 1", "row 1 is missing"),
        (
            """
            update audit_log a set actor_id = b.actor_id, message_id = b.message_id,
                detail = b.detail, at = b.at, previous_hash = b.previous_hash, hash = b.hash
            from audit_log b where (a.id, b.id) in ((2, 3), (3, 2))
            """,
            "row 2 does not continue",
        ),
    ],
)
async def test_it_names_the_first_broken_row(six: Shelf, statement: str, finding: str) -> None:
    await behind_its_back(six, statement)
    code, said = await verify(six.url)
    assert (code, finding in said) == (1, True), said


async def test_a_log_that_lost_its_end_lacks_the_hash_that_was_kept(six: Shelf) -> None:
    newest: bytes = await six.database.fetchval("select hash from audit_log where id = 6")
    await behind_its_back(six, "delete from audit_log where id = 6")
    assert (await verify(six.url))[0] == 0, "the rest is a whole chain"
    code, said = await verify(six.url, newest.hex())
    assert (code, newest.hex() in said) == (1, True)


async def test_the_log_of_the_running_system_is_fine() -> None:
    code, said = await verify(os.environ["CHAT_DATABASE_URL"])
    assert code == 0, said


async def test_no_database_is_no_broken_chain() -> None:
    code, said = await verify("postgresql://nobody@127.0.0.1:1/nothing")
    assert (code, "could not be read" in said) == (2, True)
