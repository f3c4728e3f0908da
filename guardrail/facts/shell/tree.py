"""The whole grammar of bash, by tree-sitter: every command of a text, also of one that is not plain.

Node types are an allow-list: what is not on it is a reason not to understand the text, and the
commands inside it are read all the same, so that a rule against one of them can still say no.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from guardrail.facts.shell.plain import Redirect, Simple

if TYPE_CHECKING:
    from tree_sitter import Language, Node

_STRUCTURE_WORDS: Final = (
    "program list pipeline subshell redirected_statement command command_name file_redirect "
    "file_descriptor word number string string_content raw_string concatenation"
)
_STRUCTURE: Final = frozenset(_STRUCTURE_WORDS.split())
_WHY: Final = {
    "command_substitution": "it holds the output of another command",
    "process_substitution": "it holds the output of another command",
    "simple_expansion": "it holds a variable",
    "expansion": "it holds a variable",
    "arithmetic_expansion": "it holds a calculation",
    "variable_assignment": "it sets a variable",
    "declaration_command": "it sets a variable",
    "heredoc_redirect": "it holds a here-document",
    "herestring_redirect": "it holds a here-string",
    "function_definition": "it gives a command another meaning",
    "comment": "it holds a comment",
}
_PLAIN_WORD: Final = re.compile(r"(?!~)(?:(?![:=]~)[A-Za-z0-9_./:=@%+,^~-])+")
_PLAIN_QUOTED: Final = re.compile(r'"[^"$`\\]*"')


@dataclass(slots=True, kw_only=True)
class Reading:
    """What the grammar sees: `whys` is empty where every node is on the allow-list."""

    commands: list[Simple] = field(default_factory=list[Simple])
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    whys: list[str] = field(default_factory=list[str])


@cache
def _language() -> Language:
    import tree_sitter_bash  # noqa: PLC0415  calls without a command do without
    from tree_sitter import Language  # noqa: PLC0415

    return Language(tree_sitter_bash.language())


def read_tree(text: str) -> Reading:
    """Read a text by the whole grammar."""
    from tree_sitter import Parser  # noqa: PLC0415

    source = text.encode()
    tree = Parser(_language()).parse(source)
    reading = Reading()
    if tree.root_node.has_error:
        reading.whys.append("it is not written as the shell's grammar says")
    for node in _nodes(tree.root_node):
        if node.is_named and node.type not in _STRUCTURE:
            reading.whys.append(_WHY.get(node.type, "it holds more than plain commands"))
        if node.type == "command":
            reading.commands.append(Simple(words=[_literal(word) for word in _words(node)]))
        elif node.type == "file_redirect":
            redirect, *more = _redirect(node)
            reading.redirects.append(redirect)
            if reading.commands:
                reading.commands[-1].redirects.append(redirect)
                reading.commands[-1].words += [_literal(word) for word in more]
    return reading


def _nodes(root: Node) -> Iterator[Node]:
    """Every node, each before what is in it, in the order of the text."""
    ahead = [root]
    while ahead:
        node = ahead.pop()
        yield node
        ahead += reversed(node.children)


def _words(command: Node) -> Iterator[Node]:
    """The words of a command, its name first; redirections in between are none."""
    for child in command.named_children:
        if child.type == "command_name":
            yield from child.named_children
        elif child.type != "variable_assignment" and not child.type.endswith("_redirect"):
            yield child


def _redirect(node: Node) -> tuple[Redirect, *tuple[Node, ...]]:
    """The redirection, and the words that the grammar counts to it and the shell to the command."""
    operator = next((child.type for child in node.children if not child.is_named), "")
    places = [child for child in node.named_children if child.type != "file_descriptor"]
    target = _literal(places[0]) if places else None
    return Redirect(operator=operator, target=target), *places[1:]


def _literal(node: Node) -> str | None:
    """The word that a node means, or None where the shell makes it."""
    text = (node.text or b"").decode()
    if node.type in {"word", "number"}:
        return text if _PLAIN_WORD.fullmatch(text) else None
    if node.type == "raw_string":
        return text[1:-1]
    if node.type == "string":
        return text[1:-1] if _PLAIN_QUOTED.fullmatch(text) else None
    if node.type == "concatenation":
        parts = [_literal(part) for part in node.children]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return None
