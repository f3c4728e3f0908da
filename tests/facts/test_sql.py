"""What a text of SQL uses and changes, or that it is opaque."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.sql import READERS
from guardrail.facts.sql.tokens import MAX_DEPTH, MAX_LENGTH

HERE = Surroundings(roots={}, folder=Path())
COMMENT = "it holds a comment, which some databases run: leave it out"
UNREAD = "it holds a statement of a kind that is not read here"


def read(text: str, kind: str = "sql:postgres") -> Findings:
    return READERS[kind](text, HERE)


def fact(statement: str, tables: str = "", **changed: Any) -> dict[str, Any]:
    return {
        "statement": statement,
        "tables": tables.split(),
        "writes": [],
        "columns": [],
        "functions": [],
        "dialect": "postgres",
        "complete": True,
    } | {key: value.split() if isinstance(value, str) else value for key, value in changed.items()}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("SELECT 1", [fact("select")]),
        (
            "SELECT a, U.b, count(*) FROM T JOIN main.u USING (id) WHERE c = 'x; drop' ORDER BY d;",
            [fact("select", "main.u t", columns="a b c d id", functions="count")],
        ),
        ('SELECT "A" FROM "T"', [fact("select", "T", columns="A")]),
        ("SELECT * FROM t", [fact("select", "t", columns="*")]),
        ("SELECT t FROM t", [fact("select", "t", columns="* t")]),
        ("SELECT 1 FROM a NATURAL JOIN b", [fact("select", "a b", columns="*")]),
        ("SELECT upper(a) FROM t UNION SELECT b FROM u", [fact("select", "t u", columns="a b", functions="upper")]),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM secrets)", [fact("select", "secrets")]),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x", [fact("select", "t", columns="a")]),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", [fact("select", "t", columns="a")]),
        ("INSERT INTO t (a) VALUES (1)", [fact("insert", "t", writes="t", columns="a")]),
        ("INSERT INTO t SELECT a FROM u", [fact("insert", "t u", writes="t", columns="a")]),
        ("UPDATE t SET a = b WHERE c = 1", [fact("update", "t", writes="t", columns="a b c")]),
        ("DELETE FROM t USING u WHERE t.a = u.a", [fact("delete", "t u", writes="t", columns="a")]),
        ("WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d", [fact("select", "t", writes="t", columns="a")]),
        ("DROP TABLE IF EXISTS a, b", [fact("drop", "a b", writes="a b")]),
        ("CREATE TABLE t (a int, b text NOT NULL)", [fact("create", "t", writes="t", columns="a b")]),
        ("SELECT 1; DROP TABLE t", [fact("select"), fact("drop", "t", writes="t")]),
        ("SELECT CURRENT_USER", [fact("select", functions="current_user")]),
    ],
)  # fmt: skip
def test_a_statement_says_what_it_uses_and_changes(text: str, facts: list[dict[str, Any]]):
    assert read(text) == Findings(facts=tuple(facts))


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("EXPLAIN ANALYZE DELETE FROM t", "explain"),
        ("DO $$ begin end $$", "do"),
        ("PREPARE x AS SELECT 1", "prepare"),
        ("CALL f()", "call"),
        ("SET ROLE admin", "set"),
        ("VACUUM", "vacuum"),
        ("COPY t TO PROGRAM 'sh'", "copy"),
        ("GRANT ALL ON t TO u", "grant"),
        ("MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE", "merge"),
        ("ALTER TABLE t ADD a int", "alter"),
        ("TRUNCATE t", "truncate"),
        ("PRAGMA writable_schema = 1", "pragma"),
        ("ATTACH 'x' AS y", "attach"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "load"),
    ],
)
@pytest.mark.parametrize("kind", ["sql", "sql:mysql", "sql:postgres", "sql:sqlite"])
def test_a_statement_of_another_kind_is_named_and_opaque(text: str, statement: str, kind: str):
    dialect = kind.removeprefix("sql").removeprefix(":") or "any"
    expected = fact(statement, complete=False, dialect=dialect)
    expected["dialect"] = dialect
    assert read(text, kind) == Findings(facts=(expected,), caution=UNREAD)


@pytest.mark.parametrize(
    "call",
    ["pg_read_file('x')", "lo_export(1, 'x')",
     "dblink_exec('x', 'y')", "setval('x', 1)", "pg_sleep(9)", "load_extension('x')",
     "pg_catalog.upper('x')", '"pg_sleep"(9)', "nextval('x')", "xp_cmdshell('x')", "set_config('a', 'b', false)"],
)  # fmt: skip
def test_functions_that_may_do_more_than_calculate_are_opaque(call: str):
    for text in (f"SELECT {call}", f"SELECT * FROM {call}", f"INSERT INTO t VALUES ({call})"):
        assert "it calls what may do more than calculate" in read(text).caution


def test_a_function_does_not_hide_behind_a_query_of_its_name():
    text = "WITH pg_read_file(x) AS (SELECT 1) SELECT pg_read_file('/etc/passwd') FROM pg_read_file"
    assert read(text).caution == "it calls what may do more than calculate: pg_read_file"


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("SELECT 1 /*!50000 UNION SELECT password FROM users */", "sql:mysql", COMMENT),
        ("/*!50000 DROP TABLE t */", "sql:mysql", COMMENT),
        ("SELECT 1 /* a /* b */ c */", "sql:postgres", COMMENT),
        ("SELECT 1 -- a", "sql:sqlite", COMMENT),
        ("SELECT 1 # a", "sql:mysql", COMMENT),
        ("SELECT 'a\\' OR 1'", "sql:mysql", "it holds a backslash, which databases read as they are set up to"),
        ("SELECT E'\\x41'", "sql:postgres", "it holds a backslash, which databases read as they are set up to"),
        ('SELECT "a" FROM t', "sql:mysql", "it holds a double quote, which MySQL reads as it is set up to: use ' or `"),
        ("SELECT U&'d!0061' UESCAPE '!'", "sql:postgres", "it holds a text with escapes"),
        ("SELECT 'a\x00'", "sql:sqlite", "it holds a control character"),
        ("SELECT 'a", "sql:sqlite", "its quotes have no end"),
        ("SELECT FROM WHERE", "sql:sqlite", "it is not written as its dialect says"),
        ("", "sql:sqlite", "it holds no statement"),
        (" ; ;", "sql:sqlite", "it holds no statement"),
        ("SELECT " + "(" * (MAX_DEPTH + 1), "sql:sqlite", "it is nested too deep"),
        ("SELECT " + "1" * MAX_LENGTH, "sql:sqlite", "it is longer than 8,192 characters"),
    ],
)  # fmt: skip
def test_what_databases_may_read_differently_is_not_understood(text: str, kind: str, why: str):
    with pytest.raises(NotUnderstoodError) as caught:
        read(text, kind)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "text", ["SELECT * INTO n FROM t", "SELECT 1 FROM t FOR UPDATE", "DROP TABLE t CASCADE"]
)
def test_parts_that_are_on_no_list_are_opaque(text: str):
    assert "not read here" in read(text).caution


@pytest.mark.parametrize("kind", ["sql", "sql:mysql", "sql:postgres", "sql:sqlite"])
def test_a_lookup_in_a_whole_table_is_opaque(kind: str):
    assert read("SELECT 1 IN secrets", kind).caution == "it looks a value up in a table without saying where"


@pytest.mark.parametrize(
    "text",
    ["UPDATE LOW_PRIORITY salaries SET x = 1", "WITH a AS (SELECT 1) UPDATE low_priority salaries SET x = 1",
     "DELETE LOW_PRIORITY FROM t", "DELETE QUICK FROM t", "UPDATE t low_priority SET x = 1", "SELECT a quick FROM t"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["sql:mysql", "sql:postgres", "sql:sqlite"])
def test_a_word_of_the_language_is_no_name(text: str, kind: str):
    try:
        caution = read(text, kind).caution
    except NotUnderstoodError:
        return
    assert "which databases may take for a word of the language" in caution


def test_a_word_of_the_language_is_a_name_in_quotes():
    assert read("UPDATE `low_priority` SET x = 1", "sql:mysql").caution == ""


@pytest.mark.parametrize("name", ["row_to_json", "TO_JSONB", '"to_json"', "concat"])
def test_a_function_that_is_written_like_a_column_means_the_whole_row(name: str):
    expected = fact("select", "users", columns=f"* {name.lower().strip(chr(34))}")
    assert read(f"SELECT u.{name} FROM users u") == Findings(facts=(expected,))


def test_mysql_changes_every_table_of_a_join():
    text = "UPDATE a JOIN b ON a.x = b.x SET b.y = 1"
    expected = fact("update", "a b", writes="a b", columns="x y")
    expected["dialect"] = "mysql"
    assert read(text, "sql:mysql") == Findings(facts=(expected,))


def test_without_a_dialect_all_of_them_have_to_agree():
    expected = fact("select", "t", columns="a")
    expected["dialect"] = "any"
    assert read("SELECT a FROM t WHERE a = 'x'", "sql") == Findings(facts=(expected,))
    with pytest.raises(NotUnderstoodError):
        read('SELECT "a" FROM t', "sql")


WORD_LIST = (
    "select from where with as insert into values update set delete drop table t u a ( ) ( ) , . * ; = 'x' 1 \"q\" `q` "
    "[q] join on using group by limit union case when then end in not null over exists returning do :: ->> || - + "
    "interval array [ ] { : ? @ $1 is -- /* */ # \\ partition default ~ natural recursive lateral by delete"
)
WORDS = WORD_LIST.split()


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=14).map(" ".join))
def test_no_exception_escapes_and_the_same_text_has_the_same_facts(text: str):
    def answer(kind: str) -> Findings | str:
        try:
            return read(text, kind)
        except NotUnderstoodError as error:
            return str(error)

    for kind in READERS:
        assert answer(kind) == answer(kind)


def calls(text: str, kind: str = "sql:postgres") -> int:
    """Functions called: the parser is Python, so this is its work, whatever else the machine does."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        read(text, kind)
    except NotUnderstoodError:
        pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit",
    ["(", "case when ", "not ", "a and ", "a,", "'", "select 1;", "with x as (", "x(", "a in (",
     "[", "{", "a.", "a::", "((1)),", "-", "from a join b ", "union (", "- if ", "x as (select 1 from y), "],
)  # fmt: skip
def test_the_time_grows_with_the_length_and_no_faster(unit: str):
    def work(length: int) -> int:
        return calls("select " + (unit * length)[: length - 7])

    work(64)
    assert work(MAX_LENGTH) < 16 * (work(MAX_LENGTH // 8) + 500)


BEGINNINGS = ["select ", "select 1 from a ", "select 1 from a where ", "with x as ", "insert into t values ",
              "update t set a = ", "create table t ", "delete from t "]  # fmt: skip
MORE_WORDS = (
    "left right full inner outer cross straight_join all any some if temporary pivot unpivot offset intersect except "
    "order having window distinct f( cast( extract( between like escape collate time date zone row rows range replace "
    "following current fetch first for use index force lock regexp isnull primary foreign check unique filter within e"
)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.sampled_from([*WORDS, *MORE_WORDS.split()]), min_size=1, max_size=5).map(" ".join),
    st.sampled_from([8, 20, 150]),
    st.sampled_from(sorted(READERS)),
)
def test_whatever_is_said_again_and_again_costs_no_more_than_its_length(
    beginning: str, unit: str, times: int, kind: str
):
    read("select 1", kind)  # loads the parser
    text = beginning + f"{unit} " * times
    assert calls(text, kind) < (len(text) + 200) * (1_500 if kind == "sql" else 500)


@pytest.mark.parametrize("kind", sorted(READERS))
@pytest.mark.parametrize(
    "text",
    [
        "select 1 from a " + "join b " * 60,
        "insert into t values " + "union ( " * 11,
        "select 1 from a where " + "- if " * 60,
        "delete from t " + "join update " * 60,
    ],
)
def test_what_leaves_the_parser_in_doubt_is_not_understood(text: str, kind: str):
    with pytest.raises(NotUnderstoodError):
        read(text, kind)


@pytest.mark.parametrize("kind", sorted(READERS))
def test_long_statements_without_doubt_are_understood(kind: str):
    joins = " ".join(f"left join b{at} on b{at}.x = a.x" for at in range(60))
    rows = ", ".join(f"({at}, 'x')" for at in range(500))
    for text in (f"select 1 from a {joins}", f"insert into t (a, b) values {rows}"):
        assert read(text, kind).caution == ""
