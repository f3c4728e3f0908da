"""The driver of a replay: it walks the line with answers from the record, and cannot act.

The line asks for what it needs; whoever replays answers from what was recorded. There is no tool here to execute and no
ledger to write to, so a step that would act is only ever seen.
"""

from __future__ import annotations

from typing import Any, NoReturn

from guardrail.calls import Call
from guardrail.execution import Attempt
from guardrail.outcomes import Outcome
from guardrail.runtime import line
from guardrail.steps import Step


def _no_tool(call: Call) -> NoReturn:
    """What stands where a tool would."""
    raise AssertionError(f"a replay was about to run {call.tool.title}")


class Walked:
    """One call on its way down the line.

    Attributes:
        step: what the line asks for now.
    """

    def __init__(self, call: Call) -> None:
        self._line = line(Attempt(call=call, invoke=_no_tool))
        self.step: Step = next(self._line)

    def answer(self, answer: Any) -> Step | Outcome:
        """Answer the step; what the line asks for then, or how the call ends."""
        try:
            self.step = self._line.send(answer)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        return self.step

    def close(self) -> None:
        """Go no further."""
        self._line.close()
