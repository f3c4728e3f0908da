"""What Alembic runs: the migrations over the connection that it was given, inside its transaction."""

from alembic import context

from guardrail.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
