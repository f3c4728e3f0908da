"""A second process that runs the graph: `python -m guardrail_langgraph.demo.child SETTING RUN REQUEST`.

The demo kills it in the middle of a payment.
"""

from __future__ import annotations

import sys

from langgraph.errors import GraphRecursionError

from guardrail.errors import GuardrailError
from guardrail_langgraph.demo.stage import Setting, opened


def main() -> None:
    """Work on one request in silence."""
    setting, run, request = sys.argv[1:]
    try:
        with opened(Setting.from_json(setting)) as stage:
            stage.play(run, request, lambda _: None)
    except (GuardrailError, GraphRecursionError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
