"""Which database, and which of our revisions it has."""

import os
import sys
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, pool

CONFIG: Final = Config(Path(__file__).with_name("alembic.ini"))
CONNECT_S: Final = 5
LOCK: Final = 8083
"""Any number: two migrations that were started at once run one after the other."""


def engine() -> Engine:
    """Of CHAT_DATABASE_URL, by psycopg; exits with a message when there is none."""
    scheme, separator, rest = os.environ.get("CHAT_DATABASE_URL", "").partition("://")
    if scheme not in ("postgresql", "postgres") or not separator:
        sys.exit("CHAT_DATABASE_URL must be set to a postgresql:// address.")
    return create_engine(
        f"postgresql+psycopg://{rest}",
        poolclass=pool.NullPool,
        connect_args={"connect_timeout": CONNECT_S},
    )


def needed() -> str:
    """The newest revision of this release."""
    head = ScriptDirectory.from_config(CONFIG).get_current_head()
    assert head is not None
    return head


def applied() -> str:
    """The newest revision that the database has, `0000` for none. Raises OperationalError."""
    with engine().connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or "0000"
