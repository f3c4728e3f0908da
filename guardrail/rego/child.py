"""The child process that runs the tests of a bundle (`testing.py`): work in, results out, one a line.

It imports nothing of guardrail, so that it starts at once, and catches nothing: where a test raises, panics,
crashes or hangs, the child ends, and the parent goes on with the next test in another one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import regorus


def results(work: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How each test ended, in order.

    Args:
        work: `modules` (path → source), `data` (JSON text), and `tests`, the `package.name` of each.
    """
    interpreter = cast("Any", regorus.Engine())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    interpreter.set_gather_prints(True)
    for path, source in work["modules"].items():
        interpreter.add_policy(path, source)
    interpreter.add_data_json(work["data"])
    for title in work["tests"]:
        started = time.perf_counter()
        interpreter.set_input_json("{}")
        value = interpreter.eval_rule_as_json(f"data.{title}")
        duration = time.perf_counter() - started
        yield {"passed": value == "true", "output": interpreter.take_prints(), "duration": duration}


if __name__ == "__main__":
    for result in results(json.load(sys.stdin)):
        print(json.dumps(result), flush=True)
