"""What a real SQLite does with a text, beside what the facts say: it may do less, never more.

SQLite asks an authorizer before it prepares every access. So no row is needed to see all that a text would do.
"""

import sqlite3
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.sql import read_sql

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, "key");
CREATE TABLE u (id, a, c);
CREATE TABLE secrets (id, password);
"""
INTERNAL = {"sqlite_master", "sqlite_temp_master", "sqlite_schema", "sqlite_sequence"}
WRITES = {
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_TEMP_TABLE,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_DROP_VIEW,
    sqlite3.SQLITE_ALTER_TABLE,
}
HARMLESS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_REINDEX}
INDEXES = {sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_TEMP_INDEX, sqlite3.SQLITE_DROP_INDEX}


class Log:
    """What SQLite asked to be allowed."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.writes: set[str] = set()
        self.columns: set[str] = set()
        self.functions: set[str] = set()
        self.others: list[tuple[int, str | None]] = []

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        name = (first or "").lower()
        if action == sqlite3.SQLITE_READ:
            self._table(name)
            self.columns |= {(second or "").lower()} if name not in INTERNAL else set()
        elif action in WRITES:
            self._table(name)
            self.writes |= {name} - INTERNAL
            self.columns |= (
                {second.lower()}
                if action == sqlite3.SQLITE_UPDATE and second and name not in INTERNAL
                else set()
            )
        elif action == sqlite3.SQLITE_FUNCTION:
            self.functions.add((second or "").lower())
        elif action not in HARMLESS | INDEXES:
            self.others.append((action, first))
        return sqlite3.SQLITE_OK

    def _table(self, name: str) -> None:
        self.tables |= {name} - INTERNAL


def real(text: str, *, without: str = "") -> Log:
    """What a fresh database does with a text, up to a statement that it refuses; `without` this table."""
    log = Log()
    with sqlite3.connect(":memory:") as database:
        database.executescript(SCHEMA)
        if without in {"t", "u", "secrets"}:
            database.execute(f"DROP TABLE {without}")
        database.set_authorizer(log)
        try:
            database.executescript(text)
        except (sqlite3.Error, sqlite3.Warning):
            pass
        database.set_authorizer(None)
    database.close()
    return log


def read(text: str) -> Findings | None:
    """The facts, where the text is fully understood."""
    try:
        found = read_sql(text, Surroundings(roots={}, folder=Path()), dialect="sqlite")
    except NotUnderstoodError:
        return None
    return None if found.caution else found


OPERATORS = {"like", "glob", "->", "->>"}  # SQLite runs these operators as functions of the same name


def check(text: str, found: Findings) -> None:
    log = real(text)

    def told(key: str) -> set[str]:
        return {name for fact in found.facts for name in fact[key]}

    tables = {name.rpartition(".")[2] for name in told("tables")}
    writes = {name.rpartition(".")[2] for name in told("writes")}
    columns = told("columns")
    more = {
        # SQLite names queries of a WITH like tables: those it still names once there is no such table.
        "tables": {name for name in log.tables - tables if name not in real(text, without=name).tables},
        "writes": log.writes - writes,
        "columns": set() if "*" in columns else log.columns - columns - {""},
        "functions": log.functions - told("functions") - OPERATORS,
        "others": log.others,
    }
    assert not any(more.values()), (text, more)


NAME = st.sampled_from(["t", "u", "secrets", "a", "b", "id", "password", "x", "key", "rowid"])
QUOTED = st.tuples(NAME, st.sampled_from(["{}", "{}", "{}", '"{}"', "[{}]", "`{}`", "'{}'"])).map(
    lambda parts: parts[1].format(parts[0])
)
TABLE = st.one_of(
    st.sampled_from(
        [
            "t",
            "u",
            "secrets",
            "main.t",
            '"t"',
            "[u]",
            "`t`",
            "'secrets'",
            "x",
            "T",
            "main.'u'",
            "sqlite_master",
        ]
    ),
    QUOTED,
)
EXPRESSION = st.deferred(
    lambda: st.one_of(
        st.sampled_from(
            ["1", "'a''b'", "null", "*", "t.*", "count(*)", "x'00'", "?", ":p", "current_date", "''"]
        ),
        QUOTED,
        st.tuples(QUOTED, QUOTED).map(".".join),
        st.tuples(
            EXPRESSION,
            st.sampled_from(
                ["+", "=", "||", "like", "glob", "is", "and", "->>", "in", "<>", "-", "not like"]
            ),
            EXPRESSION,
        ).map(" ".join),
        st.tuples(
            st.sampled_from(
                [
                    "upper({})",
                    "max({}, 1)",
                    "count(distinct {})",
                    "({})",
                    "not {}",
                    "-{}",
                    "cast({} as int)",
                    "case when {} then 1 else 2 end",
                    "sum({}) over (partition by a order by b)",
                    "load_extension({})",
                    "coalesce({}, 'x')",
                    "replace({}, 'a', 'b')",
                    "abs ({})",
                    '"upper"({})',
                    "{} collate nocase",
                    "{} between 1 and 2",
                    "count(*) filter (where {})",
                    "group_concat({}, ',')",
                    "iif({}, 1, 2)",
                    "printf({})",
                ]
            ),
            EXPRESSION,
        ).map(lambda parts: parts[0].format(parts[1])),
        SELECT.map("({})".format),
        SELECT.map("exists ({})".format),
        SELECT.map("a in ({})".format),
    )
)
SOURCE = st.one_of(
    TABLE,
    st.tuples(TABLE, QUOTED).map(" as ".join),
    st.tuples(TABLE, st.sampled_from([", ", " natural join ", " cross join "]), TABLE).map("".join),
    st.tuples(
        TABLE,
        st.sampled_from([" join ", " left join "]),
        TABLE,
        st.sampled_from(["id", "a", '"id"', "id, a"]),
    ).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]} using ({parts[3]})"),
    st.tuples(TABLE, TABLE, EXPRESSION).map(lambda parts: f"{parts[0]} join {parts[1]} as x on {parts[2]}"),
    st.deferred(lambda: SELECT).map("({}) as x".format),
    st.sampled_from(
        [
            "json_each('[1]')",
            "pragma_database_list",
            "pragma_table_info('t')",
            "t indexed by i",
            "(t)",
            "(t join u)",
        ]
    ),
)
TAIL = st.one_of(
    st.just(""),
    EXPRESSION.map(" where {}".format),
    st.tuples(EXPRESSION, EXPRESSION).map(lambda parts: f" group by {parts[0]} having {parts[1]}"),
    EXPRESSION.map(" order by {} limit 1".format),
    EXPRESSION.map(" limit {} offset 1".format),
    st.sampled_from([" window w as (order by password)", " order by 1 desc nulls last"]),
)
SELECT = st.deferred(
    lambda: st.one_of(
        st.tuples(EXPRESSION, SOURCE, TAIL).map(lambda parts: f"select {parts[0]} from {parts[1]}{parts[2]}"),
        EXPRESSION.map("select {}".format),
        st.tuples(SELECT, st.sampled_from([" union ", " union all ", " except ", " intersect "]), SELECT).map(
            "".join
        ),
        st.tuples(
            st.sampled_from(["x", "t", "secrets", '"u"', "x(a)", "t(a, b)"]),
            st.sampled_from(["", "recursive "]),
            SELECT,
            SELECT,
        ).map(lambda parts: f"with {parts[1]}{parts[0]} as ({parts[2]}) {parts[3]}"),
        st.tuples(SELECT, SELECT, SELECT).map(
            lambda parts: f"with x as ({parts[0]}), t as ({parts[1]}) {parts[2]}"
        ),
        EXPRESSION.map("values ({})".format),
    )
)
CHANGE = st.one_of(
    st.tuples(TABLE, SELECT).map(lambda parts: f"insert into {parts[0]} {parts[1]}"),
    st.tuples(TABLE, QUOTED, EXPRESSION).map(
        lambda parts: f"insert into {parts[0]} ({parts[1]}) values ({parts[2]})"
    ),
    st.tuples(TABLE, EXPRESSION).map(lambda parts: f"insert or replace into {parts[0]} values ({parts[1]})"),
    st.tuples(TABLE, QUOTED, EXPRESSION).map(
        lambda parts: (
            f"insert into {parts[0]} (id) values (1) on conflict (id) do update set {parts[1]} = {parts[2]}"
        )
    ),
    st.tuples(TABLE, QUOTED, EXPRESSION, TAIL).map(
        lambda parts: f"update {parts[0]} set {parts[1]} = {parts[2]}{parts[3]}"
    ),
    st.tuples(TABLE, QUOTED, SOURCE).map(
        lambda parts: f"update {parts[0]} set {parts[1]} = 1 from {parts[2]}"
    ),
    st.tuples(TABLE, EXPRESSION).map(lambda parts: f"delete from {parts[0]} where {parts[1]} returning *"),
    st.tuples(SELECT, TABLE).map(
        lambda parts: f"with x as ({parts[0]}) delete from {parts[1]} where a in (select a from x)"
    ),
    TABLE.map("drop table {}".format),
    TABLE.map("drop table if exists {}".format),
    TABLE.map("drop view {}".format),
    st.tuples(QUOTED, SELECT).map(lambda parts: f"create table {parts[0]} as {parts[1]}"),
    QUOTED.map("create temp table n ({}, b text not null, c decimal(10, 2) unique)".format),
    st.sampled_from(
        [
            "replace into t values (1)",
            "pragma user_version = 1",
            "attach 'x' as y",
            "alter table t rename to z",
            "create view v as select * from t",
            "create trigger g after insert on t begin delete from u; end",
            "vacuum",
            "explain select 1",
            "begin",
            "create index i on t (a)",
            "analyze",
            "savepoint s",
        ]
    ),
)
TEXT = st.lists(st.one_of(SELECT, CHANGE), min_size=1, max_size=2).map("; ".join)


@settings(deadline=None, max_examples=400)
@given(TEXT)
def test_sqlite_does_no_more_than_the_facts_say(text: str):
    found = read(text)
    assume(found is not None)
    check(text, found or Findings())


NOISE = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\x0c",
        "\u00a0",
        "\x00",
        "--",
        "-- x\n",
        "/*",
        "*/",
        "/*! x */",
        "'",
        '"',
        "`",
        "[",
        "]",
        ";",
        "(",
        ")",
        ",",
        ".",
        "*",
        "secrets",
        " password",
        " as ",
        "$",
        "@",
        "#",
        "\\",
        "e'",
        "x'",
        "0x",
        "1e",
        "||",
        "::",
    ]
)


@settings(deadline=None, max_examples=400)
@given(text=TEXT, noise=NOISE, at=st.floats(0, 1), cut=st.integers(0, 3))
def test_nor_where_a_text_was_spoilt_somewhere(text: str, noise: str, at: float, cut: int):
    place = round(at * len(text))
    text = text[:place] + noise + text[place + cut :]
    found = read(text)
    assume(found is not None)
    check(text, found or Findings())


def test_the_log_sees_what_is_done():
    """A log that sees nothing would find nothing."""
    log = real("insert into t (a) select upper(password) from secrets; update u set c = 1")
    assert (log.tables, log.writes, log.columns, log.functions) == (
        {"t", "secrets", "u"},
        {"t", "u"},
        {"password", "c"},
        {"upper"},
    )
