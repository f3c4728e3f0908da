"""What is understood of SQL, in closed lists.

What is not on them is not understood, so a new version of the parser or of a database can only make less
understood, never more.
"""

from __future__ import annotations

from typing import Final

_NODES: Final = (
    # statements and their parts
    "Select SetOperation Union Except Intersect Subquery From Join Where Group Having Order Ordered Limit "
    "Offset Distinct With CTE TableAlias Table Alias Values Tuple Insert Update Delete OnConflict Returning "
    "Schema Create Drop ColumnDef "
    # expressions
    "Column Identifier Star Literal Null Boolean Placeholder Paren Neg Not And Or EQ NEQ GT GTE LT LTE Is In "
    "Between Like ILike Glob Escape Add Sub Mul Div IntDiv Mod DPipe Concat SafeConcat BitwiseAnd BitwiseOr "
    "BitwiseNot Case If Cast Exists Any All Window WindowSpec Filter Interval Var DataType DataTypeParam "
    "Extract Collate NullSafeEQ NullSafeNEQ Within WithinGroup "
    # columns of a new table
    "ColumnConstraint PrimaryKeyColumnConstraint NotNullColumnConstraint UniqueColumnConstraint PrimaryKey"
)
NODES: Final = frozenset(_NODES.split())
"""Classes of nodes, besides those of functions."""

_SCALARS: Final = (
    "this quoted is_string distinct desc nulls_first kind side method exists big_int nested recursive "
    "materialized is_function with_offset expression_kind spec_type start start_side end end_side safe typed "
    "coalesce requires_int is_numeric alternative invisible jdbc over unit default by_name only zone scale "
    "order_exclusive ignore_nulls temporary is_left"
)
SCALARS: Final = frozenset(_SCALARS.split())
"""Settings of nodes that do not change which tables, columns and functions are used."""

_FUNCTIONS: Final = (
    "abs acos array_agg asin atan atan2 avg bool_and bool_or cast ceil ceiling char_length character_length "
    "coalesce concat concat_ws convert cos count cume_dist curdate current_date current_time "
    "current_timestamp date date_add date_format date_part date_sub date_trunc datediff datetime day "
    "dayofmonth dayofweek dayofyear degrees dense_rank every exp extract first_value floor from_unixtime glob "
    "greatest group_concat hex hour if ifnull iif initcap instr json_array json_extract json_group_array "
    "json_group_object json_object json_type json_valid julianday lag last_day last_value lcase lead least "
    "left length like ln localtime localtimestamp locate log log10 log2 lower lpad ltrim max mid min minute "
    "mod month monthname nth_value now ntile nullif octet_length percent_rank percentile_cont percentile_disc "
    "pi position pow power quarter quote radians random rank regexp_replace replace reverse right round "
    "row_number rpad rtrim second sign sin sqrt stddev stddev_pop stddev_samp str_to_date strftime string_agg "
    "strpos substr substring sum tan time timediff timestampdiff to_char to_date to_number to_timestamp total "
    "trim trunc truncate typeof ucase unicode unixepoch unix_timestamp upper var_pop var_samp variance week "
    "weekday year"
)
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
"""Functions that only calculate, in each of the databases that have them."""

_SYNTAX: Final = (
    "all and any as between by case check conflict distinct else except exists filter from group having in "
    "intersect into is join key like limit materialized not offset on or order over partition primary "
    "returning select set some table then union unique using values when where window with"
)
SYNTAX: Final = frozenset(_SYNTAX.split())
"""Words that may stand before a parenthesis and call nothing."""

_MODIFIERS: Final = (
    "delayed distinctrow high_priority ignore low_priority only quick sql_big_result sql_buffer_result "
    "sql_cache sql_calc_found_rows sql_no_cache sql_small_result straight_join"
)
MODIFIERS: Final = frozenset(_MODIFIERS.split())
"""Words that stand before a name in some database, and that a parser may take for the name."""

_ROW_FUNCTIONS: Final = (
    "any_value array_agg concat concat_ws first_value format hash_record hash_record_extended hstore json_agg "
    "json_agg_strict json_build_array json_build_object jsonb_agg jsonb_agg_strict jsonb_build_array "
    "jsonb_build_object lag last_value lead nth_value populate_record quote_ident quote_literal quote_nullable "
    "record_out record_send row_to_json to_hstore to_json to_jsonb to_tsvector"
)
ROW_FUNCTIONS: Final = frozenset(_ROW_FUNCTIONS.split())
"""Functions of PostgreSQL that give away a whole row, also where they are written like a column of it (`t.to_json`)."""
