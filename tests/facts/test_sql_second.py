"""PostgreSQL's own parser has a say: it can make a text opaque, and nothing else."""

from pathlib import Path

import pytest

from guardrail.facts.extractor import Surroundings
from guardrail.facts.sql import READERS
from guardrail.facts.sql.second import DISAGREES, UNREAD, is_there, objection

HERE = Surroundings(roots={}, folder=Path())


def caution(text: str, kind: str = "sql:postgres") -> str:
    if not is_there():
        pytest.skip("pglast is not installed: the second opinion is an extra (postgres-sql)")
    return READERS[kind](text, HERE).caution


@pytest.mark.parametrize(
    "text",
    [
        "select 1; delete from t where a = 1",
        "with x as (select * from y) select * from x",
        "insert into t (a) values (1) returning a",
        "update a.t set b = coalesce(c, 1)",
        "select extract(year from d), substring(a from 1 for 2), trim(a) from t",
        'select "A" from "T" where b in (select c from d)',
        "select a from t union select b from s",
        "delete from t using s where t.a = s.a",
        "create table t (a int); drop table t",
        "values (1), (2); select 1 union values (2)",
    ],
)
def test_what_both_read_alike_is_understood(text: str):
    assert caution(text) == ""


@pytest.mark.parametrize(
    "text",
    ["select a from t limit 1, 2", "select a from t where a regexp b", "select a from t where x rlike y"],
)
def test_what_postgresql_would_not_run_is_not_understood(text: str):
    assert caution(text) == UNREAD
    assert READERS["sql:mysql"](text, HERE).caution == ""


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("select a from t, s", {"statement": "select", "tables": ["t"], "functions": []}),
        ("select f(a) from t", {"statement": "select", "tables": ["t"], "functions": []}),
        ("delete from t", {"statement": "select", "tables": ["t"], "functions": []}),
        (
            "with x as (delete from s returning *) select * from x",
            {"statement": "select", "tables": ["x"], "functions": []},
        ),
    ],
)
def test_a_table_a_function_or_a_kind_that_only_the_second_reader_sees_speaks_against_it(
    text: str, fact: dict[str, object]
):
    if not is_there():
        pytest.skip("pglast is not installed: the second opinion is an extra (postgres-sql)")
    assert objection(text, [fact]) == DISAGREES
