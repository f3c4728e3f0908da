"""Write `docs/engines.md`: what was compared between OPA and the embedded interpreter, and where they differ.

make engines
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from guardrail.bundles import Bundle, shipped_folder  # noqa: E402
from guardrail.opa.comparing import Difference, compared, questions_of  # noqa: E402
from guardrail.opa.process import VERSION  # noqa: E402
from guardrail.opa.questions import Question  # noqa: E402
from guardrail.rego.interpreter import interpreter_version  # noqa: E402
from tests.opa.approvals import Judged, judged  # noqa: E402
from tests.opa.builtins import Evaluated, evaluated  # noqa: E402
from tests.opa.contract import questions as of_contract  # noqa: E402

PAGE: Final = ROOT / "docs" / "engines.md"
BEGIN: Final = "<!-- written by `make engines` -->"
END: Final = "<!-- end -->"
EVERYTHING: Final = Bundle.join(
    Bundle.from_directory(shipped_folder()), Bundle.from_directory(ROOT / "tests" / "policies")
)


def asked() -> list[Question]:
    """Everything that the shipped packs are asked."""
    return [*questions_of(EVERYTHING), *of_contract()]


def main() -> None:
    """Compare, and write what was found."""
    known = asked()
    print(f"Asking {len(known):,} questions of both engines …", file=sys.stderr)
    found = compared(EVERYTHING, known)
    print("Asking both who may approve …", file=sys.stderr)
    answers = judged()
    print("Evaluating built-in functions on both …", file=sys.stderr)
    body = "\n".join(written(known, found, answers, evaluated()))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def written(
    known: Sequence[Question],
    found: Sequence[Difference],
    answers: Sequence[Judged],
    values: Sequence[Evaluated],
) -> Iterator[str]:
    """The part of the page that is written by this command."""
    differing = [value for value in values if not value.same]
    kinds = Counter(difference.kind for difference in found)
    yield f"OPA {VERSION}; embedded: {interpreter_version()}."
    yield ""
    yield "| compared | cases | less strict on OPA | less strict embedded | in other words only |"
    yield "|---|---:|---:|---:|---:|"
    yield (
        f"| decisions of the shipped packs | {len(known):,} | {kinds['opa']} | {kinds['embedded']} "
        f"| {kinds['words']} |"
    )
    laxer = Counter(answer.laxer for answer in answers)
    yield (
        f"| who may approve, and whether it is enough, by the shipped approval policy | {len(answers):,} "
        f"| {laxer['opa']} | {laxer['embedded']} | {laxer['words']} |"
    )
    yield ""
    yield (
        f"Of {len(values):,} cases of built-in functions and operators, {len(differing)} have another value, or one "
        "on one engine only:"
    )
    yield ""
    yield "| expression | OPA | embedded |"
    yield "|---|---|---|"
    for value in differing:
        yield f"| {_code(value.case)} | {_shown(value.opa)} | {_shown(value.embedded)} |"


def _shown(text: str) -> str:
    return text if text in {"undefined", "error"} else _code(f"{text[:60]}{'…' if len(text) > 60 else ''}")


def _code(text: str) -> str:
    return f"`` {_cell(text)} ``" if "`" in text else f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\ufffd", "?").replace("\x00", "?")


if __name__ == "__main__":
    main()
