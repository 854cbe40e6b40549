"""Runs migrations on the database that CHAT_DATABASE_URL names; alembic executes it."""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import text

from migrations.database import LOCK, engine


def migrate() -> None:
    """Each in a transaction of its own: one that failed leaves nothing of itself behind.

    (CREATE INDEX CONCURRENTLY cannot be in one: `with op.get_context().autocommit_block()`.)
    """
    with engine().connect() as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        # Whoever waits for a table's lock stops all who come after. Better to fail and try again.
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
migrate()
