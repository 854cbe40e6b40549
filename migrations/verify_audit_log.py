"""`make audit-verify`: walks the chain of hashes in audit_log and names the first broken row.

Whoever can write the table can also rebuild the whole chain, and taking rows off its end leaves a
chain that is whole. So keep the newest hash that this prints elsewhere, and give it the next time:
each hash given must still be in the chain.

Needs CHAT_DATABASE_URL and psycopg, nothing else of this repository. Writes nothing.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import psycopg

PAGE: Final = 10_000

# Of each row what its hash covers, in the very words that audit_hash() hashes (migration 0002).
_ROWS: Final = """
    SELECT id, previous_hash, hash, jsonb_build_array(
        id, extract(epoch FROM at), actor_id, action, conversation_id, message_id, detail)::text
    FROM audit_log ORDER BY id
"""


class Row(NamedTuple):
    """One row of audit_log."""

    number: int
    previous_hash: bytes | None
    hash: bytes | None
    content: str


class Broken(Exception):
    """Says which row is the first that is not as it was written."""


class Chain:
    """What was seen of the chain so far."""

    def __init__(self) -> None:
        self.length = 0
        self.newest: bytes | None = None

    def follow(self, row: Row) -> None:
        """Raises Broken."""
        expected = self.length + 1
        if row.number != expected:
            raise Broken(f"row {expected} is missing: row {row.number} stands in its place")
        if row.previous_hash != self.newest:
            raise Broken(f"row {row.number} does not continue the one before it")
        content = (row.previous_hash or b"") + row.content.encode()
        if hashlib.sha256(content).digest() != row.hash:
            raise Broken(f"row {row.number} was changed")
        self.length, self.newest = row.number, row.hash


def rows(url: str) -> Iterator[Row]:
    """The whole log, oldest first, as it is at one moment."""
    with psycopg.connect(url) as connection:
        connection.read_only = True
        with connection.cursor("audit_log") as cursor:
            cursor.itersize = PAGE
            cursor.execute(_ROWS)
            yield from map(Row._make, cursor)


def verify(log: Iterable[Row], known: Iterable[str]) -> Chain:
    """`known`: hashes in hex that were printed earlier. Raises Broken."""
    missing = {value.lower() for value in known}
    chain = Chain()
    for row in log:
        chain.follow(row)
        missing.discard((row.hash or b"").hex())
    if missing:
        raise Broken(
            f"all {chain.length} rows follow from each other, but no row has the hash that was "
            f"kept: {', '.join(sorted(missing))}. Rows were taken off the end, or all was rebuilt"
        )
    return chain


def main() -> int:
    """The exit code: 1 when the chain is broken, 2 when it could not be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("known", nargs="*", metavar="HASH", help="printed by an earlier run")
    known = parser.parse_args().known
    url = os.environ.get("CHAT_DATABASE_URL", "")
    if not url.startswith(("postgresql://", "postgres://")):
        parser.exit(2, "CHAT_DATABASE_URL must be set to a postgresql:// address.\n")
    try:
        chain = verify(rows(url), known)
    except Broken as error:
        sys.stderr.write(f"audit_log is BROKEN: {error}.\n")
        return 1
    except psycopg.Error as error:
        parser.exit(2, f"audit_log could not be read: {error}\n")
    newest = chain.newest.hex() if chain.newest else "none"
    sys.stdout.write(f"audit_log: {chain.length} rows are fine. Newest hash: {newest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
