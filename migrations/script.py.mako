"""${message}"""

from pathlib import Path

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

_SQL = Path(__file__)


def upgrade() -> None:
    op.execute(_SQL.with_suffix(".up.sql").read_text())


def downgrade() -> None:
    op.execute(_SQL.with_suffix(".down.sql").read_text())
