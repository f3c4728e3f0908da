"""A history of one's own, to be changed."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(name="folder")
def _folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "history"))
