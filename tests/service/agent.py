"""An agent's calls, which people are asked about; the effect of each is one line in a file, flushed to the disk."""

from __future__ import annotations

import os
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
