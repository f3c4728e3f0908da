"""Dying by SIGKILL at the n-th step of given code, in whichever thread: inside transactions, between two of them."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

GUARDRAIL = str(Path(__import__("guardrail").__file__).parent)


def dies_after(steps: int, *folders: str, begin: Callable[[CodeType], bool]) -> None:
    """Die at this step of the code below these folders.

    Args:
        steps: calls and returns of functions.
        folders: whose functions count.
        begin: the function from whose first call on they count.
    """
    left = itertools.count(steps, -1)
    begun = False

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal begun
        code = frame.f_code
        begun = begun or begin(code)
        if begun and code.co_filename.startswith(folders) and next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(profile)
    sys.setprofile(profile)


def is_anything(_: CodeType) -> bool:
    """From now on."""
    return True


def is_vote(code: CodeType) -> bool:
    """What the service does when somebody votes."""
    return code.co_name == "vote" and code.co_filename.startswith(GUARDRAIL)


def is_execution(code: CodeType) -> bool:
    """The tool is about to run: what follows are its effect, its outcome and the framework's checkpoint."""
    return code.co_name in ("execute", "execute_async") and code.co_filename.startswith(GUARDRAIL)


def main() -> None:
    """`python -m tests.approvals.dying STEPS COMMAND…`: the command line, that dies while votes are cast."""
    from guardrail.cli import main as guardrail

    steps = int(sys.argv.pop(1))
    dies_after(steps, GUARDRAIL, begin=is_vote)
    guardrail()


if __name__ == "__main__":
    main()
