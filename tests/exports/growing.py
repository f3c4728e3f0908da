"""The most memory that an export takes, in kilobytes: python -m tests.exports.growing FOLDER TARGET FORMAT."""

import resource
import sys
from pathlib import Path

from guardrail.exports.lines import Lines
from guardrail.exports.parquet import Parquet
from tests.exports.reading import exported

if __name__ == "__main__":
    folder, target, form = sys.argv[1:]
    Lines.piece = Parquet.piece = 500
    exported(Path(folder), Path(target), form, unsealed=True)  # type: ignore[arg-type]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
