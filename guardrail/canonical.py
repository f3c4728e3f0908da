"""JSON in one form only: RFC 8785 (JSON Canonicalization Scheme), with limits.

Digests, commitments and approvals are made over these bytes, so two spellings of one value must
give the same bytes and nothing may be read differently by a policy and a tool. What JSON cannot
carry faithfully is refused: NaN and infinities, integers beyond ±(2^53-1) (RFC 7493), lone
surrogates, NUL, keys that are not strings, nesting beyond `MAX_DEPTH`, size beyond `MAX_BYTES`.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Final

import orjson
import rfc8785

from guardrail.errors import InvalidArguments

MAX_DEPTH: Final = 64
"""Nesting of arrays and objects. The embedded Rego back end stops at 128."""
MAX_BYTES: Final = 1_000_000
"""Size of one canonical value, in bytes."""
_MAX_INTEGER: Final = 2**53 - 1


def canonical(value: Any, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the RFC 8785 form of `value`.

    Args:
        value: anything made of dict, list, tuple, str, int, float, bool and None.
        max_bytes: the largest accepted result, in bytes.

    Raises:
        InvalidArguments: the value has no faithful JSON form; the message says where and why.
    """
    try:
        simple = _check(value, "", 0)
        # orjson with sorted keys equals RFC 8785 byte for byte except for floats and for keys that sort
        # differently in UTF-16; those go through the reference writer (fuzzed against it in the tests).
        body = orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if simple else rfc8785.dumps(value)
    except (orjson.JSONEncodeError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise InvalidArguments(f"the value has no canonical JSON form: {error}") from error
    if len(body) > max_bytes:
        raise InvalidArguments(
            f"the value is {len(body):,} bytes of JSON; at most {max_bytes:,} are accepted",
            fix="pass a reference (a path, an id) instead of the content, or raise the limit",
        )
    return body


def compact(value: Any, *, max_bytes: int = MAX_BYTES) -> bytes:
    """As `canonical`, but with fractions as the fast writer prints them: for what other programs do not digest.

    Raises:
        InvalidArguments: the value has no faithful JSON form; the message says where and why.
    """
    try:
        _check(value, "", 0)
        body = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidArguments(f"the value has no JSON form: {error}") from error
    if len(body) > max_bytes:
        raise InvalidArguments(
            f"the value is {len(body):,} bytes of JSON; at most {max_bytes:,} are accepted"
        )
    return body


def _check(value: Any, where: str, depth: int) -> bool:  # noqa: C901, PLR0912  (one branch a JSON type)
    """Refuse what JSON cannot carry; answer whether the fast writer gives the canonical form."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]  (of Any, a type is all there is to know)
    if kind is str:
        return check_text(value, where)
    if kind is bool or value is None:
        return True
    if kind is int:
        if -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return True
        raise InvalidArguments(
            f"{where or 'the value'} is an integer beyond ±(2^53-1), which JSON readers round",
            fix="pass it as a string",
        )
    if kind is float:
        if not math.isfinite(value):
            raise InvalidArguments(f"{where or 'the value'} is {value}, which JSON cannot carry")
        if _MAX_INTEGER < abs(value) < 1e21:  # written without an exponent: an integer to whoever reads it
            raise InvalidArguments(
                f"{where or 'the value'} is a number beyond ±(2^53-1), which JSON readers round",
                fix="pass it as a string",
            )
        return False
    if depth >= MAX_DEPTH:
        raise InvalidArguments(f"{where or 'the value'} is nested deeper than {MAX_DEPTH} levels")
    if kind is dict:
        simple = True
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidArguments(f"{where or 'the value'} has a key that is not a string: {key!r}")
            if not key.isascii():
                check_text(key, f"a key of {where or 'the value'}")
                simple = simple and max(key) < "\ud800"
            simple = _check(item, f"{where}/{key}", depth + 1) and simple
        return simple
    if kind is list or kind is tuple:
        simple = True
        for index, item in enumerate(value):
            simple = _check(item, f"{where}/{index}", depth + 1) and simple
        return simple
    raise InvalidArguments(f"{where or 'the value'} is a {kind.__name__}, which has no JSON form")


def check_text(text: str, where: str) -> bool:
    """True for a text that every reader takes for the same.

    Raises:
        InvalidArguments: it holds a NUL character or a lone surrogate; `where` names it in the message.
    """
    if "\x00" in text:
        raise InvalidArguments(
            f"{where or 'the value'} holds a NUL character", fix="many programs cut text there; remove it"
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArguments(f"{where or 'the value'} holds a lone surrogate") from error
    return True


def escaped(text: str) -> str:
    """The text with what `check_text` refuses written out in ASCII, to name it where it cannot stand itself."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def parse(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read JSON strictly: duplicate keys, NaN, infinities and over-long texts are refused.

    Raises:
        InvalidArguments: the text is not I-JSON (RFC 7493); the message says why.
    """
    if len(text) > max_bytes:
        raise InvalidArguments(f"the JSON text is over {max_bytes:,} long")
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"not JSON: {error}") from error
    _check(value, "", 0)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidArguments(f"the key {name!r} stands twice in one object")
            seen.add(name)
    return value


def _no_constant(name: str) -> Any:
    raise InvalidArguments(f"{name} is not JSON")


def thaw(body: bytes) -> Any:
    """A fresh, mutable copy of a canonical value: whoever changes it changes nobody else's."""
    return orjson.loads(body)


def digest(*parts: bytes) -> str:
    """SHA-256, in hex, over the parts, each with its length in front so that no two lists collide."""
    return hashlib.sha256(b"".join([len(part).to_bytes(8, "big") + part for part in parts])).hexdigest()
