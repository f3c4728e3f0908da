"""The command line: `guardrail COMMAND`. `docs/cli.md` shows every command.

Exit codes: 0 done, 1 the answer is no, 2 used wrongly, 3 refused by the guard, 4 a dependency is down.
A known error is a message and a `To do:` line on standard error, never a traceback.
"""

from __future__ import annotations

import io
import logging
import sys

from guardrail.cli.app import app


def main() -> None:
    """What the installed command runs; ends the process with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger("guardrail.ledger").addHandler(logging.NullHandler())  # the command says it itself
    app(prog_name="guardrail")
