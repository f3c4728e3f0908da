"""Every statement of the ledger means the same on both databases: the same parameters in the same order."""

from __future__ import annotations

import importlib
import pkgutil

import psycopg

import guardrail.ledger
import guardrail.replay
from guardrail.ledger.session import Session
from guardrail.ledger.statements import every_statement, for_postgres
from tests.servers import server_or_skip, template


def load_everything() -> None:
    """A statement is known once its module is imported."""
    for package in (guardrail.ledger, guardrail.replay):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations." not in found.name:
                importlib.import_module(found.name)


def test_parameters_have_the_same_order_in_both_dialects() -> None:
    load_everything()
    statements = every_statement()
    assert len(statements) > 100
    assert {sql: names for sql, names in statements.items() if names[0] != names[1]} == {}


def test_postgres_takes_every_statement() -> None:
    load_everything()
    refused: list[str] = []
    with server_or_skip().database(template()) as address:
        session = Session.to(address, within=5.0, reading=False)
        for number, sql in enumerate(every_statement()):
            try:
                session.run(f"PREPARE s{number} AS {for_postgres(sql)}")
            except psycopg.Error as error:
                refused.append(f"{sql}: {error}")
        session.close()
    assert refused == []
