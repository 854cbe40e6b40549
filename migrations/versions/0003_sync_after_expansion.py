"""SYNC survives a column that is added to messages. The SQL is beside this file."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"

_SQL = Path(__file__)


def upgrade() -> None:
    op.execute(_SQL.with_suffix(".up.sql").read_text())


def downgrade() -> None:
    op.execute(_SQL.with_suffix(".down.sql").read_text())
