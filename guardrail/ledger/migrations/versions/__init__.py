"""The migrations, one module a revision."""
