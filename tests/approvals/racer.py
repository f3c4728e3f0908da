"""An agent's process that makes one and the same call many times at once, and prints what each of them came to.

python -m tests.approvals.racer FOLDER CALLERS
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from guardrail.guard import Guardrail
from tests.approvals.calls import payment
from tests.approvals.world import World, awake


def main() -> None:
    """See the module."""
    folder, callers = Path(sys.argv[1]), int(sys.argv[2])
    world = World(folder)
    with Guardrail.from_config(folder / "guardrail.toml") as guard, ThreadPoolExecutor(callers) as pool:
        calls = [
            pool.submit(guard.perform, payment(guard, world.pay, 1), waiting="wait") for _ in range(callers)
        ]
        awake(folder)
        print(json.dumps([call.result().value for call in calls]))


if __name__ == "__main__":
    main()
