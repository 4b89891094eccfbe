"""Alembic's entry: runs the migrations on the connection that `upgrade` prepared, inside its transaction."""

from alembic import context

from gateway.store.version import TABLE

context.configure(connection=context.config.attributes["connection"], version_table=TABLE, transactional_ddl=False)
context.run_migrations()
