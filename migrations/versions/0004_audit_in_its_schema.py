"""The audit log's functions mean the audit log, not a session's own. SQL beside this file."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_SQL = Path(__file__)


def upgrade() -> None:
    op.execute(_SQL.with_suffix(".up.sql").read_text())


def downgrade() -> None:
    op.execute(_SQL.with_suffix(".down.sql").read_text())
