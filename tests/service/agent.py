"""An agent's process: makes its calls one after the other, waits for people at each, and is killed at any moment.

    python -m tests.service.agent FOLDER FIRST LAST

Its effect is one line in a file, flushed to the disk. Started again it makes the same calls again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.execution import Attempt
from guardrail.guard import Guardrail


def attempt(guard: Guardrail, folder: Path, number: int, **arguments: Any) -> Attempt:
    """The same number with the same arguments is the same call, in whatever process."""
    tool: Tool = guard.tool_definition(name="pay", server="bank")
    call = Call.of(
        {"number": number, **arguments}, run="run", id=str(number), tool=tool, agent=Agent(id="payer"),
        principal=Principal(id="user:anna"),
    )  # fmt: skip

    def act(judged: Call) -> str:
        with (folder / "effects").open("ab", buffering=0) as file:
            file.write(f"{judged.arguments['number']}\n".encode())
            os.fsync(file.fileno())
        return f"paid {judged.arguments['number']}"

    return Attempt(call=call, invoke=act)


def main() -> None:
    """See the module."""
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with Guardrail.from_config(folder / "guardrail.toml") as guard:
        for number in range(first, last):
            outcome = guard.perform(attempt(guard, folder, number), waiting="wait")
            assert outcome.status in ("returned", "unknown"), outcome


if __name__ == "__main__":
    main()
