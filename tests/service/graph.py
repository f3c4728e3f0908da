"""A LangGraph graph on files that makes two payments in one step, both of which people are asked about.

    python -m tests.service.graph FOLDER        its first stage: the graph is suspended when this ends

`resume` is what `[resume]` names: another process takes the thread up again.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver

from guardrail.approvals import Approval
from guardrail.guard import Guardrail
from tests.adapters.graphs import START_MESSAGES, plain

SCRIPT = [calling(("pay", {"number": 1}), ("pay", {"number": 2}))]


@contextmanager
def opened(folder: Path) -> Generator[Any]:
    """The graph, over the ledger and the checkpoints of the folder."""

    def pay(number: int) -> str:
        """Pay."""
        with (folder / "effects").open("a") as file:
            file.write(f"{number}\n")
        return f"paid {number}"

    tool = StructuredTool.from_function(pay)
    with (
        Guardrail.from_config(folder / "guardrail.toml") as guard,
        SqliteSaver.from_conn_string(str(folder / "graph.db")) as saver,
    ):
        yield wrap(plain([tool], SCRIPT, checkpointer=saver), guard)


def thread(name: str) -> Any:
    """Which thread of the graph."""
    return {"configurable": {"thread_id": name}}


def resume(approval: Approval) -> None:
    """Let the thread of a decided request go on; the folder is the working folder."""
    with opened(Path.cwd()) as graph:
        graph.invoke(None, thread(approval.run))


def main() -> None:
    """See the module."""
    with opened(Path(sys.argv[1])) as graph:
        paused = graph.invoke(START_MESSAGES, thread("thread-1"))
    assert len(paused["__interrupt__"]) == 2, paused


if __name__ == "__main__":
    main()
