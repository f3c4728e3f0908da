"""Exports in processes that are killed: python -m tests.exports.dying FOLDER TARGET FORMAT UNSEALED SEED.

Each process is killed at a random step of those that make something durable, and the next one goes on; the last one
ends by itself.
"""

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401  loaded once, before the forks

from guardrail.exports.lines import Lines
from guardrail.exports.parquet import Parquet
from tests.exports.reading import exported

SMALL = 15


def main() -> None:
    folder, target, form, unsealed, seed = sys.argv[1:]
    Lines.piece = Parquet.piece = SMALL
    chance = random.Random(int(seed))
    killed = 0
    while True:
        last = chance.randint(1, 12)
        child = os.fork()
        if child == 0:
            die_after(last)
            exported(Path(folder), Path(target), form, unsealed=unsealed == "1")  # type: ignore[arg-type]
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
    print(killed)


def die_after(steps: int) -> None:
    really, left = os.fsync, steps

    def fsync(file: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        really(file)

    os.fsync = fsync


if __name__ == "__main__":
    main()
