"""Imports of Python code, as names of packages. Code is not understood here: only what it says it imports."""

from __future__ import annotations

import io
import sys
import tokenize
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages.specifiers import package

MAX_LENGTH: Final = 65_536
"""The longest code, in characters."""

# Import names that are not the names of their packages.
_NAMES_TEXT: Final = (
    "attr=attrs bs4=beautifulsoup4 Crypto=pycryptodome cv2=opencv-python dateutil=python-dateutil "
    "docx=python-docx dotenv=python-dotenv fitz=pymupdf git=gitpython google=google-cloud "
    "jose=python-jose jwt=pyjwt kafka=kafka-python magic=python-magic MySQLdb=mysqlclient "
    "OpenSSL=pyopenssl PIL=pillow pkg_resources=setuptools pptx=python-pptx "
    "serial=pyserial skimage=scikit-image sklearn=scikit-learn slugify=python-slugify usb=pyusb "
    "websocket=websocket-client yaml=pyyaml zmq=pyzmq "
)
_NAMES: Final[Mapping[str, str]] = {
    module: name for module, _, name in (pair.partition("=") for pair in _NAMES_TEXT.split())
}
_DYNAMIC: Final = frozenset({"__import__", "import_module", "exec", "eval"})
_SKIPPED: Final = frozenset({tokenize.COMMENT, tokenize.NL})
_STARTS: Final = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING})


def read_python(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """The packages that code imports, those of the standard library left out, each once.

    `raw` is the module as imported, `name` the package that usually brings it. Modules of one's own cannot be
    told from packages: these facts are for warnings.

    Raises:
        NotUnderstoodError: it is no Python, or too long.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    if "\x00" in text:
        raise NotUnderstoodError("it holds a control character")
    facts: dict[str, Mapping[str, Any]] = {}
    caution = ""
    for module in _modules(text):
        top = module.partition(".")[0]
        if module in _DYNAMIC:
            caution = "it may import what its text does not name"
        elif top not in sys.stdlib_module_names:
            name = _NAMES.get(top, top).lower().replace("_", "-")
            facts[module] = package("pypi", name, "", source="import", raw=module)
    return Findings(facts=tuple(facts.values()), caution=caution)


def _modules(text: str) -> Iterator[str]:
    """The modules that are imported, and the names of what may import others."""
    try:
        tokens = [
            token
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type not in _SKIPPED
        ]
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise NotUnderstoodError("it is no Python code") from error
    begins = True  # a statement begins at this token
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.string in _DYNAMIC and token.type == tokenize.NAME:
            yield token.string
        if begins and token.string in {"import", "from"}:
            found, at = _names(tokens, at, several=token.string == "import")
            yield from found
        begins = token.type in _STARTS or token.string in {";", ":"}


def _names(tokens: list[tokenize.TokenInfo], at: int, *, several: bool) -> tuple[list[str], int]:
    """Dotted names from here on, up to the end of the statement; and where it stopped."""
    found, name, renamed = list[str](), "", False
    while at < len(tokens) and tokens[at].type in {tokenize.NAME, tokenize.OP}:
        word = tokens[at].string
        if word in {";", "import"} or (
            word not in {".", ","} and tokens[at].type == tokenize.OP and word != "..."
        ):
            break
        if word == ",":
            found.append(name)
            name, renamed = "", False
        elif word == "as":
            renamed = True
        elif not renamed:
            name += word
        at += 1
    names = [*found, name] if several else [name]
    return [name for name in names if name and not name.startswith(".")], at
