"""Conversations, messages, typing and the audit log. The SQL is beside this file."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_SQL = Path(__file__)


def upgrade() -> None:
    op.execute(_SQL.with_suffix(".up.sql").read_text())


def downgrade() -> None:
    op.execute(_SQL.with_suffix(".down.sql").read_text())
