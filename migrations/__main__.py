"""`python -m migrations [upgrade | wait | downgrade REVISION]`, with CHAT_DATABASE_URL set.

upgrade    applies what this release needs, and grants the roles what `privileges` lists.
           A database that is ahead stays as it is: a release that was rolled back works on the
           tables of the one after it (docs/decisions/0029).
wait       returns when that has been done, by whomever: a role must not start before. Exit code 1
           after WAIT_S.
downgrade  goes back to REVISION, and loses what only newer tables and columns held.
"""

import argparse
import sys
import time
from typing import Final

from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from migrations.database import CONFIG, LOCK, applied, engine, needed
from migrations.privileges import grant

WAIT_S: Final = 600
LOOK_EACH_S: Final = 1


def upgrade() -> None:
    """Safe to repeat, and to run twice at once."""
    # Revisions are numbers of four digits: later is larger.
    if (has := applied()) > needed():
        _say(f"The database is at {has}; this release needs {needed()}. Nothing to do.")
    else:
        command.upgrade(CONFIG, "head")
        _grant()


def _grant() -> None:
    with engine().begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        missing = grant(connection)
    if missing:
        _say(f"No such login, so nothing was granted to it: {', '.join(missing)}.")


def wait() -> None:
    """Exits with 1 when it takes too long."""
    deadline, told = time.monotonic() + WAIT_S, ""
    while (lacking := _lacking()) is not None:
        if lacking != told:
            _say(f"Waiting: {lacking}.")
            told = lacking
        if time.monotonic() > deadline:
            sys.exit(f"Gave up after {WAIT_S} s: {lacking}. Look at the migration job's log.")
        time.sleep(LOOK_EACH_S)


def _lacking() -> str | None:
    try:
        has = applied()
    except OperationalError as error:
        return f"PostgreSQL does not answer ({str(error.orig).splitlines()[0]})"
    return None if has >= needed() else f"the database is at {has}, this release needs {needed()}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m migrations")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("upgrade")
    commands.add_parser("wait")
    commands.add_parser("downgrade").add_argument("revision")
    arguments = parser.parse_args()
    if arguments.command == "downgrade":
        command.downgrade(CONFIG, arguments.revision)
    elif arguments.command == "wait":
        wait()
    else:
        upgrade()


main()
