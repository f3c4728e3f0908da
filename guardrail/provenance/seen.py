"""What a run has seen, and where the values of a call come from, as far as they say it themselves.

Values are matched, not followed: what was copied, also in another spelling or in parts, is found again;
what was reworded, encoded, or decided because of something that was read, is not (`docs/provenance.md`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final, cast

from guardrail.pointers import Leaf as Place
from guardrail.pointers import escape, leaves, names
from guardrail.provenance.forms import normal, words_in
from guardrail.provenance.matching import STRENGTH, Matched, Search, Trust, vouches
from guardrail.provenance.pools import Effort, Found, Pool, TooMuchError
from guardrail.provenance.sources import Leaf, Source, Vouching, is_said, leaves_of

MAX_VALUES: Final = 256
"""How many values of one call are looked for; where there are more, nothing is known of any."""
MAX_CHARACTERS: Final = 1_000_000
"""How much of a run is searched. What does not fit in vouches for nothing, and may be where a value comes from."""
MAX_STEPS: Final = 200_000
"""How much is looked at for one call, in words and places; beyond, nothing is known of a value."""
_MAX_ORIGINS: Final = 8

Readers = tuple[str, ...] | None
_OWN: Final[Mapping[str, Any]] = {
    "trust": "trusted",
    "origins": ({"kind": "definition", "tool": "", "call": "", "field": ""},),
    "readers": None,
    "whole": True,
}


class Seen:
    """The sources of one run, in this process's memory. Not for several threads at once."""

    def __init__(self) -> None:
        self.characters = 0
        self._pools: dict[tuple[Vouching, Readers], Pool] = {}
        self._waiting: deque[Source] = deque()
        self._circles: set[tuple[str, ...]] = set()
        self._any_untrusted = False
        self._unread: set[tuple[Vouching, Readers]] = set()

    def add(self, source: Source) -> None:
        """Take in a source; it is read when somebody asks."""
        self._waiting.append(source)

    def lose(self) -> None:
        """Some of what was said is kept no more: it vouches for nothing, and anything may come from there."""
        self._any_untrusted = True
        self._circles.add(())
        self._unread.add(("untrusted", ()))

    def labels(self, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        """Where every text and number among the arguments comes from: JSON pointer → trust, origins, readers, whole.

        The name of a member that the tool's definition does not name is a value too; its label is part of that of the
        member. Of more values than are looked for, the first have a label, and every argument.

        Args:
            arguments: of a call.
            schema: JSON Schema of its tool: a value that stands there as a default or a choice is the tool's own.
        """
        self._read()
        said = list(islice(_said(arguments, schema), MAX_VALUES + 1))
        if len(said) > MAX_VALUES:
            places = chain((leaf.pointer for leaf in said), (f"/{escape(name)}" for name in arguments))
            return dict.fromkeys(places, self._not_looked_for())
        own = _own_values(schema)
        search = Search(self._pools.values(), Effort(MAX_STEPS))
        labels: dict[str, Any] = {}
        for leaf in said:
            pointer = leaf.pointer
            label = self._label(leaf.value, own.get(pointer, ()), search)
            labels[pointer] = _weaker(labels[pointer], label) if pointer in labels else label
        return labels

    def links(self, hosts: Mapping[str, str]) -> dict[str, Any]:
        """Where links come from that stand inside of texts: link, as it is written → the same as in `labels`.

        Args:
            hosts: link, as it is written → where it leads. One to a host out of an untrusted output is untrusted, too.
        """
        self._read()
        search = Search(self._pools.values(), Effort(MAX_STEPS))
        found: dict[str, Any] = {}
        for url, host in hosts.items():
            found[url] = self._label(url, (), search)
            if found[url]["trust"] == "unknown":
                behind = self._label(host, (), search)
                found[url] = _weaker(found[url], behind) if behind["trust"] == "untrusted" else found[url]
        return found

    def says(self, text: str, kind: Vouching) -> bool:
        """Whether a text stands in what was seen already, as words of that kind that vouch for it."""
        self._read()
        said, effort = normal(text), Effort(MAX_STEPS)
        pools = [pool for pool in self._pools.values() if pool.kind == kind]
        try:
            return not said or any(vouches(pool, said, words_in(said), effort) for pool in pools)
        except TooMuchError:
            return False

    # --- reading ------------------------------------------------------------------------------------

    def _read(self) -> None:
        while self._waiting:
            self._take(self._waiting[0])
            self._waiting.popleft()  # only now: what could not be read is not forgotten

    def _take(self, source: Source) -> None:
        untrusted = source.is_untrusted and source.content not in ("", None, [], {})
        self._any_untrusted = self._any_untrusted or untrusted
        if source.readers is not None:
            self._circles.add(source.readers)
        try:
            found, complete = leaves_of(source)
            for leaf in found:
                complete = self._add(source, leaf) and complete
        except MemoryError:
            complete = False
        if not complete:
            self._unread.add(("untrusted" if untrusted else source.kind, source.readers))

    def _add(self, source: Source, leaf: Leaf) -> bool:
        size = len(leaf.value) if isinstance(leaf.value, str) else 1
        if self.characters + size > MAX_CHARACTERS:
            return False
        pool = self._pools.setdefault((leaf.kind, source.readers), Pool(leaf.kind))
        self.characters += pool.add(source, leaf)
        return True

    # --- labels -------------------------------------------------------------------------------------

    def _label(self, value: str | float, own: tuple[Any, ...], search: Search) -> Mapping[str, Any]:
        if value in own:
            return _OWN
        try:
            return self._as_label(search.match(value))
        except TooMuchError:
            return self._not_looked_for()

    def _as_label(self, matched: Matched) -> Mapping[str, Any]:
        """What was found of a value, with what may stand in all that was not read."""
        trust = matched.trust
        if trust == "unknown" and any(kind == "untrusted" for kind, _ in self._unread):
            trust = "untrusted"
        circles = [place.source.readers for place in matched.found]
        readers: list[str] | None = None
        if matched.copied or None not in circles:  # what anybody may read as a whole is no secret of others
            readers = _closest({*circles, *(circle for _, circle in self._unread)} - {None})
        return {
            "trust": trust,
            "origins": [_origin(place) for place in matched.found[:_MAX_ORIGINS]],
            "readers": readers,
            "whole": matched.whole,
        }

    def _not_looked_for(self) -> Mapping[str, Any]:
        """The label of a value that may come from anything that the run has seen."""
        trust = "untrusted" if self._any_untrusted else "unknown"
        return {"trust": trust, "origins": (), "readers": _closest(self._circles), "whole": False}


def _origin(place: Found) -> dict[str, str]:
    source = place.source
    return {"kind": place.kind, "tool": source.tool, "call": source.call, "field": place.leaf.pointer}


def _closest(circles: Iterable[Readers]) -> list[str] | None:
    """Who is in every circle of readers; None = anybody."""
    limited = [circle for circle in circles if circle is not None]
    if not limited:
        return None
    return sorted(reader for reader in set(limited[0]) if all(reader in circle for circle in limited))


def _weaker(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """The label of what is made of two values."""
    trusts: list[Trust] = [one["trust"], other["trust"]]
    return {
        "trust": min(trusts, key=STRENGTH.__getitem__),
        "origins": [*one["origins"], *other["origins"]][:_MAX_ORIGINS],
        "readers": _closest([one["readers"], other["readers"]]),
        "whole": one["whole"] and other["whole"],
    }


def _said(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Place]:
    """What somebody may have said: the texts, the numbers, and the names that the tool's definition does not name."""
    yield from (leaf for leaf in leaves(arguments) if is_said(leaf.value))
    known: set[str] | None = None
    for name in filter(lambda place: place.is_inside, names(arguments)):
        known = _named_in(schema) if known is None else known
        if name.value not in known:
            yield name


def _named_in(schema: Mapping[str, Any]) -> set[str]:
    """The names of all members that a JSON Schema describes, however deep."""
    found: set[str] = set()
    ahead: list[Any] = [schema]
    while ahead:
        part = ahead.pop()
        if isinstance(part, Mapping):
            described = cast("Mapping[str, Any]", part)
            ahead += described.values()
            if isinstance(properties := described.get("properties"), Mapping):
                found.update(cast("Mapping[str, Any]", properties))
        elif isinstance(part, list | tuple):
            ahead += cast("list[Any]", part)
    return found


def _own_values(schema: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Argument, as a pointer → the values that the tool's own definition offers."""
    found: dict[str, tuple[Any, ...]] = {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return found
    for name, described in cast("Mapping[str, Any]", properties).items():
        if isinstance(described, Mapping):
            part = cast("Mapping[str, Any]", described)
            offered = part.get("enum")
            values: list[Any] = list(cast("list[Any]", offered)) if isinstance(offered, list) else []
            values += [part[word] for word in ("default", "const") if word in part]
            if values:
                found[f"/{escape(name)}"] = tuple(filter(is_said, values))
    return found
