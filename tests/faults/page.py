"""Write `docs/faults.md`: every fault of the matrix, let happen under load, and what became of every call.

make faults
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.faults.fault import Fault
from tests.faults.load import CALLERS
from tests.faults.matrix import FAULTS, ROOT, Row, happened
from tests.servers import close_server

PAGE: Final = ROOT / "docs" / "faults.md"
BEGIN: Final = "<!-- written by `make faults` -->"
END: Final = "<!-- end -->"
_OWN: Final = (
    (r"postgresql://\S+", "postgresql://…"),
    (r"/tmp/guardrail-postgres-\S+?(?=[/\"\s]|$)", "…"),
    (r"(?<=127\.0\.0\.1:)\d+", "…"),
    (r"(?<='127\.0\.0\.1', )\d+", "…"),
    (r"pg_tblspc/[\w/]+", "pg_tblspc/…"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "…"),
)
"""What differs from run to run in what the doctor says, and what stands for it here."""


def main() -> None:
    """Let everything happen, and write what came of it."""
    logging.disable(logging.CRITICAL)
    rows: list[tuple[Fault, Row]] = []
    try:
        for number, fault in enumerate(FAULTS, 1):
            print(f"{number} of {len(FAULTS)}: {fault.part}: {fault.name} …", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="guardrail-faults-") as folder:
                rows.append((fault, _without(happened(fault, Path(folder)), folder)))
    except pytest.skip.Exception as missing:
        sys.exit(f"this machine cannot let that happen: {missing}")
    finally:
        close_server()
    body = "\n".join(written(rows))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def written(rows: Sequence[tuple[Fault, Row]]) -> Iterator[str]:
    """The part of the page that is written by this command."""
    yield f"{len(rows)} faults, {len(CALLERS)} callers."
    part = ""
    for fault, row in rows:
        if fault.part != part:
            part = fault.part
            yield from ("", f"### {part[0].upper()}{part[1:]}", "")
            yield "| fault | callers get | admitted | denied | unknown | lost | `guardrail doctor` says | exit |"
            yield "|---|---|---:|---:|---:|---:|---|---:|"
        answers = ", ".join(f"`{answer}`" for answer in row.answers)
        said = row.sign
        sign = f"**{said['about']}** {said['state']}: {_cell(said['text'])}. To do: {_cell(said['fix'])}"
        yield (
            f"| {fault.name} | {answers} | {row.admitted} | {row.denied} | {row.unknown} | {len(row.lost)} "
            f"| {sign} | {row.exit_code} |"
        )


def listed() -> list[tuple[str, str, frozenset[str], str]]:
    """What the page says: part, fault, answers and how many calls were lost."""
    found: list[tuple[str, str, frozenset[str], str]] = []
    part = ""
    for line in PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines():
        if line.startswith("### "):
            part = line[4:]
        elif line.startswith("| ") and not line.startswith("| fault"):
            name, answers, _, _, _, lost, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
            found.append((part, name, frozenset(answers.replace("`", "").split(", ")), lost))
    return found


def _without(row: Row, folder: str) -> Row:
    """A row whose sign names no folder of this run."""
    text = row.sign["text"].replace(f"{folder}/", "").replace("disk/", "")
    for pattern, instead in _OWN:
        text = re.sub(pattern, instead, text)
    return Row(**{**vars(row), "sign": {**row.sign, "text": text}})


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 240 else f"{text[:239]}…"


if __name__ == "__main__":
    main()
