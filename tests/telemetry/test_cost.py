"""Where no SDK is configured, telemetry costs next to nothing: counted in calls of Python functions, not in time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = """
import json, sys
from collections import Counter
from guardrail.guard import Guardrail
from guardrail.testing import ScriptedPolicy

assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=sys.argv[1])
send = guard.tool(lambda to: to, agent="payer", name="send")
counts = Counter()

def count(frame, event, _):
    if event == "call":
        path = frame.f_code.co_filename
        ours = "/guardrail/telemetry/" in path or path.endswith("/guardrail/spans.py") or "opentelemetry" in path
        counts["telemetry" if ours else "rest"] += 1

with guard.run("r1"):
    for _ in range(20):
        send("warm")
    sys.setprofile(count)
    for _ in range(10):
        send("bob")
    sys.setprofile(None)
print(json.dumps({**counts, "sdk": any(name.startswith("opentelemetry.sdk") for name in sys.modules)}))
"""


def test_a_call_makes_few_function_calls_for_telemetry_that_nobody_wants(tmp_path: Path):
    answer = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path / "guardrail.db")], cwd=ROOT, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    counts = json.loads(answer.stdout)
    assert counts["sdk"] is False
    assert counts["telemetry"] / 10 <= 30, counts
    assert counts["telemetry"] / counts["rest"] <= 0.06, counts
