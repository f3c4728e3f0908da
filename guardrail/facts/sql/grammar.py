"""The parser, held to what is read for sure, and to work that grows with the text.

Where it is not sure, the parser goes back and tries another way, one attempt inside the other: for a few words that
no database reads, such as joins that join on nothing, its work doubles with every word. Statements as people write
them are read almost without going back. So its steps are counted, and a text that takes it many more than it has
tokens is not understood.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from guardrail.facts.extractor import NotUnderstoodError
from guardrail.facts.sql.tokens import Dialect, Statement

if TYPE_CHECKING:
    from sqlglot.expressions import Expr
    from sqlglot.parser import Parser

STEPS: Final = 4
"""How often the parser may go over each token, there and back; a text without any doubt takes it once."""
_STEPS_MORE: Final = 64
_FAULTS: Final = (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a parser of somebody else's may raise for a text that it does not expect."""


def parsed(statement: Statement, dialect: Dialect) -> Expr:
    """The tree of one statement.

    Raises:
        NotUnderstoodError: it is not written as its dialect says, or only at great length.
    """
    from sqlglot.dialects.dialect import Dialect as Grammar  # noqa: PLC0415  calls without SQL do without
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        (root,) = _strict(dialect)(dialect=Grammar.get_or_raise(dialect)).parse(list(statement.tokens), "")
    except (SqlglotError, *_FAULTS) as error:
        raise NotUnderstoodError("it is not written as its dialect says") from error
    if root is None:
        raise NotUnderstoodError("it holds no statement")
    return root


@cache
def _strict(dialect: Dialect) -> type[Parser]:
    """A parser that counts its steps, and refuses what sqlglot's own would log, text and all, and pass over."""
    from sqlglot.dialects.dialect import Dialect as Grammar  # noqa: PLC0415
    from sqlglot.errors import ParseError  # noqa: PLC0415

    class Strict(Grammar.get_or_raise(dialect).parser_class):  # type: ignore[misc]
        steps = 0

        def _advance(self, times: int = 1) -> None:
            self.steps += 1
            if self.steps > STEPS * self._tokens_size + _STEPS_MORE:
                raise NotUnderstoodError("its grammar leaves the parser in doubt for too long")
            super()._advance(times)

        def _warn_unsupported(self) -> None:
            raise ParseError("unsupported")

    return Strict
