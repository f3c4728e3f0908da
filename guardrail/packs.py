"""The packs: which of the policies that come with guardrail are part of a bundle.

Every pack costs time at every decision, so what nobody picked is not there. Two are always there: without what they
say, nothing would be allowed, and silence is a deny. With `outputs`, policies are asked about every output too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

PackName = Literal[
    "dataflow", "delegation", "effects", "egress", "filesystem", "messaging", "outputs", "packages", "runaway",
    "secrets", "shell", "spending", "sql",
]  # fmt: skip
"""The folders of rules that come with guardrail."""

ALWAYS: Final[tuple[PackName, ...]] = ("effects", "runaway")
"""There whatever is picked."""
DEFAULT: Final[tuple[PackName, ...]] = ("egress", "filesystem", "packages", "secrets", "shell", "sql")
"""Picked where `[policies] shipped = true` says no more. They need nothing but what tools declare."""

_SHARED: Final[Mapping[str, frozenset[PackName]]] = {
    "packages/findings.rego": frozenset({"packages", "outputs"})
}
"""Files of a pack that others ask too."""
_SETTING: Final = re.compile(r"\bdata\.settings\.((?:\w+\.)*\w+)|(?<!data\.)\bsettings\.(\w+)")
_RULE: Final = re.compile(r"^#   rule: (\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One folder of rules, as its METADATA describes it.

    Attributes:
        name: of the folder, and what `[policies] packs` calls it.
        title: for people.
        description: what it is there for.
        decides: what it decides on.
        rules: ids of its rules, in order of place.
        settings: what it reads of the bundle's data, below `settings`, in order of name.
        picked: `always` there, there by `default`, or there where somebody picks it (`named`).
    """

    name: str
    title: str
    description: str
    decides: str
    rules: tuple[str, ...]
    settings: tuple[str, ...]
    picked: Literal["always", "default", "named"]

    def as_json(self) -> dict[str, Any]:
        """The form in which `guardrail packs --json` lists it."""
        lists = {"rules": list(self.rules), "settings": list(self.settings)}
        texts = {"name": self.name, "title": self.title, "description": self.description}
        return texts | {"decides": self.decides} | lists | {"picked": self.picked}


def packs(folder: Path) -> list[Pack]:
    """Every pack in a folder of policies that came with guardrail, in order of name."""
    return [_pack(folder / name, name) for name in get_args(PackName)]


def is_picked(path: str, picked: frozenset[str]) -> bool:
    """Whether a file of the shipped policies belongs to a bundle of these packs; what is of no pack always does.

    Args:
        path: of the file in their folder, with `/`.
        picked: names of packs.
    """
    name = path.partition("/")[0]
    wanted = _SHARED.get(path, frozenset({name}))
    return name not in get_args(PackName) or name in ALWAYS or not picked.isdisjoint(wanted)


def _pack(folder: Path, name: PackName) -> Pack:
    rules = (folder / f"{name}.rego").read_text(encoding="utf-8")
    whole = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.rego")))
    about = dict(_fields(rules[: rules.index("\npackage ")]))
    return Pack(
        name=name,
        title=about["title"],
        description=about["description"],
        decides=about["decides"],
        rules=tuple(dict.fromkeys(_RULE.findall(whole))),
        settings=tuple(sorted({own or shared for own, shared in _SETTING.findall(_code(whole))})),
        picked="always" if name in ALWAYS else "default" if name in DEFAULT else "named",
    )


def _code(source: str) -> str:
    """The lines that are no comment; what texts say of settings is left out."""
    lines = (line for line in source.splitlines() if not line.startswith("#"))
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', "\n".join(lines))


def _fields(metadata: str) -> Iterator[tuple[str, str]]:
    """The fields of a METADATA block as OPA writes them: `name: text`, the text on lines of its own after `>-`."""
    for found in re.finditer(r"^#( +)(\w+): ?(.*)((?:\n#\1  +\S.*)*)", metadata, re.MULTILINE):
        _, name, first, rest = found.groups()
        if name == "custom":
            yield from _fields(rest)
            continue
        lines = [first.removeprefix(">-"), *rest.splitlines()]
        yield name, " ".join(line.removeprefix("#").strip() for line in lines).strip()
