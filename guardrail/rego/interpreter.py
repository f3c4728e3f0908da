"""The Rego interpreter, regorus, behind the few calls that are safe to make of it.

Everything that reaches it is JSON text, never Python objects: a string with a lone surrogate, passed as
an object, kills the process. Its panics are of a class that derives from `BaseException`; they and its
errors are translated here, in `_run`, and nowhere else. It holds the interpreter lock while it
evaluates, has no time limit, and belongs to the thread that made it (`threads.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final, cast

import orjson
import regorus

from guardrail.bundles import Bundle
from guardrail.errors import PolicyError

DISTRIBUTION: Final = "gordon-to-regorus"
"""The distribution whose module `regorus` is used, pinned to one version."""
ENTRYPOINT: Final = "data.guardrail.decision"
"""The rule that is asked for a decision."""
UNDEFINED: Final = '"<undefined>"'
"""What `answer` returns where the rule has no value. No well-formed decision reads like this."""

_PLACE: Final = re.compile(r"-->\s*(.+):(\d+):(\d+)\s")
_VALUE: Final = re.compile(r"[.,;]? Got `.*|(?<=Error parsing ).*(?=: )", re.DOTALL)
_QUOTED: Final = re.compile(r"`([^`]*)`")
_NAME: Final = re.compile(r"[\w.]+")


class RegoError(PolicyError):
    """The interpreter raised.

    Attributes:
        file: the module where it happened; empty = not known.
        line: the line there; 0 = not known.
        text: what is wrong, in one line, without the place.
    """

    def __init__(self, text: str, *, file: str = "", line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {text}" if file else text)
        self.file = file
        self.line = line
        self.text = text


class RegoPanicError(RegoError):
    """The interpreter broke; it is not used again."""


class Interpreter:
    """One interpreter with one bundle in it. It may be used, and dropped, by the thread that made it only."""

    def __init__(self, modules: Mapping[str, str], data_json: bytes = b"{}") -> None:
        """Load modules and data.

        Raises:
            RegoError: a module does not parse.
        """
        self._regorus = cast("Any", regorus.Engine())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        self._regorus.set_gather_prints(True)
        for path, source in modules.items():
            _run(self._regorus.add_policy, path, source)
        _run(self._regorus.add_data_json, data_json.decode())

    @classmethod
    def of(cls, bundle: Bundle) -> Interpreter:
        """An interpreter that decides by a bundle, made ready: what is slow at first has happened."""
        made = cls(bundle.rules, bundle.data_json)
        made.prepare()
        return made

    def prepare(self) -> None:
        """Compile what was loaded.

        Raises:
            RegoError: a variable is unsafe, or a module is otherwise not of the language.
        """
        _run(self._regorus.eval_query_as_json, "true")

    def answer(self, given: str, rule: str = ENTRYPOINT) -> str:
        """The value of a rule as JSON text, or `UNDEFINED`.

        A rule is asked for by its path, which costs less than half of a query and still tells undefined
        from null. What the policy prints is dropped: it may hold arguments.

        Args:
            given: the input, as JSON text.
            rule: path of the rule.

        Raises:
            RegoError: the policy raised, or there is no such rule.
        """
        try:
            _run(self._regorus.set_input_json, given)
            value: str = _run(self._regorus.eval_rule_as_json, rule)
            return value
        finally:
            self._regorus.take_prints()

    def syntax_trees(self) -> list[dict[str, Any]]:
        """The syntax tree of every module, as regorus writes it.

        Raises:
            RegoError: it is nested too deeply to be read.
        """
        text = _run(self._regorus.get_ast_as_json)
        try:
            trees: list[dict[str, Any]] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise RegoError("the module is nested too deeply to be checked") from error
        return trees


def interpreter_version() -> str:
    """`distribution version` of the interpreter: part of every policy revision."""
    return f"{DISTRIBUTION} {version(DISTRIBUTION)}"


def builtin_functions() -> frozenset[str]:
    """The names of all functions that the interpreter brings."""
    asked = Interpreter({"ask.rego": "package ask\n\nnames := opa.runtime().builtins"})
    return frozenset(orjson.loads(asked.answer("{}", "data.ask.names"))) | {"print"}


def _run(operation: Callable[..., Any], *texts: str) -> Any:
    """Call the interpreter; the one place where what it raises is caught and translated."""
    try:
        return operation(*texts)
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"
        if not panicked and not isinstance(error, Exception):
            raise  # KeyboardInterrupt and the like are not the interpreter's
        failure = translated(str(error), RegoPanicError if panicked else RegoError)
    # Raised out here, so that it holds no reference to the interpreter: it may travel to another thread.
    try:
        raise failure
    finally:
        del (
            failure
        )  # else it holds the frame that holds it, until some thread collects garbage: any, not this one


def translated(text: str, kind: type[RegoError] = RegoError) -> RegoError:
    """The error in one line, without its backtrace and the values that regorus quotes: they are arguments.

    Args:
        text: what regorus says.
        kind: what it is.
    """
    text = text.partition("Stack backtrace")[0].strip()
    place = _PLACE.search(text)
    message = text[place.start() :].partition("error: ")[2] if place else text
    message = _VALUE.sub("", message.partition("-->")[0])
    message = _QUOTED.sub(lambda quoted: quoted[0] if _NAME.fullmatch(quoted[1]) else "a value", message)
    message = " ".join(message.split()) or "no message"
    if kind is RegoPanicError:
        message = f"the interpreter broke: {message}"
    return kind(message, file=place[1], line=int(place[2])) if place else kind(message)
