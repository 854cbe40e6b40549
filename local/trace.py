"""`make trace ID=…`: where a message went, with times.

Asks PostgreSQL, every process of the stack on its admin port, and, where PostgreSQL lacks the
message, `chat.dead`. Elsewhere than on one machine: `python -m local.trace ID --admin URL …` with
CHAT_DATABASE_URL and CHAT_AMQP_URL. Changes nothing but `chat.dead`'s count of looks.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen
from uuid import UUID

import aio_pika
import msgspec
import psycopg

from libs.common.domain.partition import partition_of
from libs.common.passages import Passage
from libs.common.topology import DEAD
from local.stack import Stack
from local.whereabouts import Memory, Row, Step, accepted_at, passages, summary

ANSWER_S: Final = 5.0
LOOKS_MOST: Final = 10_000
"""Of what lies in `chat.dead`."""
_ROW: Final = """
    SELECT m.conversation_id, m.sender_id,
           CASE WHEN m.sender_id = c.user1_id THEN c.user2_id ELSE c.user1_id END,
           m.seq, m.status::text, extract(epoch FROM m.created_at)::float8,
           extract(epoch FROM m.delivered_at)::float8, extract(epoch FROM m.read_at)::float8,
           extract(epoch FROM m.deleted_at)::float8
    FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id
    WHERE m.id = %s
"""


class _Answer(msgspec.Struct):
    since: float
    passages: list[Passage]


def stored(database_url: str, message_id: UUID) -> Row | None:
    """Raises psycopg.OperationalError."""
    with psycopg.connect(database_url, connect_timeout=int(ANSWER_S)) as database:
        found = database.execute(_ROW, (message_id,)).fetchone()
    return None if found is None else Row(*found)


def remembered(program: str, admin_url: str, message_id: UUID) -> Memory:
    """What a process says; nothing where it does not answer."""
    try:
        with urlopen(f"{admin_url}/trace?id={message_id}", timeout=ANSWER_S) as response:  # noqa: S310
            answer = msgspec.json.decode(response.read(), type=_Answer)
    except (URLError, TimeoutError):
        return Memory(program, None, [])
    return Memory(program, answer.since, answer.passages)


async def buried(amqp_url: str, message_id: UUID) -> str | None:
    """Why it lies in `chat.dead`, if it does. A look gives everything back."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        queue = await (await connection.channel()).get_queue(DEAD, ensure=False)
        for _ in range(LOOKS_MOST):
            dead = await queue.get(fail=False)
            if dead is None:
                return None
            if message_id.bytes in dead.body:
                said = (str(dead.headers.get(name)) for name in ("x-source", "x-reason"))
                return ": ".join(said)
    return None


def _moment(at: float | None) -> str:
    if at is None:
        return f"{'-':<24}"
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='milliseconds')[:23]}Z"


def _after(at: float | None, began: float) -> str:
    return f"{'':>10}" if at is None else f"{(at - began) * 1000:>8.1f}ms"


def report(
    message_id: UUID, row: Row | None, memories: Sequence[Memory], partitions: int
) -> list[str]:
    """Lines for people."""
    began = accepted_at(message_id)
    if row is None:
        lines = [f"message {message_id}: PostgreSQL does not have it"]
    else:
        place = f"partition {partition_of(row.conversation_id, partitions)}"
        lines = [
            f"message {message_id}, {row.status}",
            f"  conversation {row.conversation_id} ({place}), seq {row.seq}",
            f"  from {row.sender_id} to {row.recipient_id}",
        ]
    lines += ["", f"{'':<9} {'UTC':<24} {'after':>10}"]
    lines += [_line(step, began) for step in summary(message_id, row, memories)]
    lines += ["", "every AMQP message that named it:"]
    for program, one in passages(memories):
        ended = f", {one.outcome.lower() or 'acknowledged'} " if one.ended_at else ""
        lines.append(
            f"{_moment(one.at)} {_after(one.at, began)}  {program} {one.act.value} {one.queue}: "
            f"{', '.join(one.items)}{ended}{_after(one.ended_at, began).strip()}"
        )
    return lines


def _line(step: Step, began: float) -> str:
    return f"{step.name:<9} {_moment(step.at)} {_after(step.at, began)}  {step.note}".rstrip()


def _admin_urls(variables: Mapping[str, str]) -> dict[str, str]:
    stack = Stack(variables.get("CHAT_STACK") or "dev")
    return {name: f"http://127.0.0.1:{port}" for name, port in sorted(stack.admin_ports().items())}


def main() -> None:
    """Ends with 1 where PostgreSQL does not have the message."""
    parser = argparse.ArgumentParser(prog="make trace ID=…", description=__doc__)
    parser.add_argument("id", type=UUID, help="the messageId")
    parser.add_argument(
        "--admin", nargs="+", metavar="URL", help="of each process, not the stack's"
    )
    options = parser.parse_args()
    urls = (
        {url: url.rstrip("/") for url in options.admin}
        if options.admin
        else _admin_urls(os.environ)
    )
    if not urls:
        raise SystemExit("It is not running; make run starts it, or name processes by --admin.")
    try:
        row = stored(os.environ["CHAT_DATABASE_URL"], options.id)
    except psycopg.OperationalError as error:
        raise SystemExit(f"PostgreSQL does not answer: {error}") from error
    memories = [remembered(name, url, options.id) for name, url in urls.items()]
    partitions = int(os.environ.get("CHAT_PARTITIONS", "4"))
    print("\n".join(report(options.id, row, memories, partitions)))
    if row is None:
        reason = asyncio.run(buried(os.environ["CHAT_AMQP_URL"], options.id))
        print(f"\nchat.dead has it, {reason}" if reason else "\nchat.dead does not have it either")
        sys.exit(1)


if __name__ == "__main__":
    main()
