"""`python -m privacy export USER [FILE] | erase USER | retain`, with CHAT_* set as for a role.

export  all that is held of a person, as JSON, on standard output or in FILE.
erase   takes away what a person wrote; what others wrote stays. Archives the conversations.
retain  the same of everybody's messages that are older than CHAT_RETENTION_DAYS.

All may be stopped and run again. Exit code 1: it failed; what to do is said.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg

from libs.common.broker import BrokerLost
from libs.common.cache import CacheError
from libs.common.config import load
from privacy.commands import CommandRefused, NotStored
from privacy.erasure import NotErased, erase
from privacy.export import export
from privacy.progress import say
from privacy.retention import retain
from privacy.settings import PrivacySettings

FAILED = (
    *(BrokerLost, CacheError, CommandRefused, NotErased, NotStored),
    *(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
)


def main() -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args()
    settings = load(PrivacySettings)
    failed: set[str] = set()
    try:
        match options.command:
            case "export":
                _export(settings, options.user, options.file)
            case "erase":
                asyncio.run(erase(settings, options.user))
            case "retain":
                asyncio.run(retain(settings))
    except* FAILED as failures:
        failed.update(_reasons(failures))
    for reason in sorted(failed):
        say(f"Failed: {reason}")
    if failed:
        say("What was done stays done; run it again for the rest.")
    return 1 if failed else 0


def _reasons(failures: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _reasons(failure)
        else:
            yield str(failure) or repr(failure)


def _export(settings: PrivacySettings, user_id: UUID, file: Path | None) -> None:
    if file is None:
        count = asyncio.run(export(settings, user_id, sys.stdout.buffer))
    else:
        # Whole or not at all, and for nobody else's eyes.
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with part.open("wb") as output:
            count = asyncio.run(export(settings, user_id, output))
        part.replace(file)
    say(f"{count} messages of {user_id} and their senders exported.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m privacy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export")
    exporting.add_argument("user", type=UUID)
    exporting.add_argument("file", type=Path, nargs="?")
    commands.add_parser("erase").add_argument("user", type=UUID)
    commands.add_parser("retain")
    return parser


if __name__ == "__main__":
    sys.exit(main())
