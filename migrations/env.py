"""Runs the migrations on the database that CHAT_DATABASE_URL names."""

import os
import sys
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool, text

LOCK = 8083
"""Any number: two migrations that were started at once run one after the other."""


def database_url() -> str:
    """The URL with psycopg 3 as SQLAlchemy's driver; exits with a message when there is none."""
    scheme, separator, rest = os.environ.get("CHAT_DATABASE_URL", "").partition("://")
    if scheme not in ("postgresql", "postgres") or not separator:
        sys.exit("CHAT_DATABASE_URL must be set to a postgresql:// address.")
    return f"postgresql+psycopg://{rest}"


def migrate() -> None:
    """All of it in one transaction: a failed migration leaves nothing behind."""
    engine = create_engine(database_url(), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            context.run_migrations()


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
migrate()
