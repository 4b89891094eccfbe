"""Every table, index and trigger of the first release."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything, from the text kept beside this file: what was released does not follow later structs."""
    engine = op.get_bind().dialect.name
    text = Path(__file__).with_name(f"{revision}_{engine}.sql").read_text(encoding="utf-8")
    for statement in text.split("\n\n"):
        op.get_bind().exec_driver_sql(statement.strip().removesuffix(";"))
