"""The verifier stands alone: the standard library and `cryptography`, nothing else, and no way to write."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verifier.logs import SIGNER, small

FOLDER = Path(__file__).parents[2] / "guardrail" / "verifier"


def test_it_imports_the_standard_library_and_cryptography_alone():
    found = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    assert found - sys.stdlib_module_names == {"cryptography"}


def test_it_has_no_way_to_write():
    """It opens files for reading, and starts nothing."""
    opened = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {
                    "write_text",
                    "write_bytes",
                    "unlink",
                    "mkdir",
                    "touch",
                    "replace",
                    "rename",
                }
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("open"):
                opened.add(ast.unparse(node.args[0]))
    assert opened == {"'rb'"}


@pytest.mark.parametrize("name", ["guardrail.verifier", "copied"])
def test_it_runs_alone_also_as_a_copy_of_its_folder(name: str, tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "copied", ignore=shutil.ignore_patterns("__pycache__"))
    export = small().export(tmp_path / "export")
    code = f"""
import runpy, sys
before = set(sys.modules)
sys.argv = ["verifier", {str(export)!r}, "--key", {str(SIGNER.key)!r}]
try:
    runpy.run_module({name!r}, run_name="__main__")
except SystemExit as end:
    new = {{module.partition(".")[0] for module in set(sys.modules) - before if module[0] != "_"}}
    ours = {{module for module in sys.modules if module.startswith("guardrail.")}}
    print(end.code, sorted(new - set(sys.stdlib_module_names)), sorted(ours))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PYTHONPATH": "."}
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    modules = [
        f"guardrail.verifier.{part}"
        for part in ("checkpoints", "exports", "growing", "notes", "proofs", "trees")
    ]
    expected = sorted(["guardrail.verifier", "guardrail.version", *modules])
    assert last == (
        f"0 ['cryptography', 'guardrail'] {expected}"
        if name == "guardrail.verifier"
        else "0 ['copied', 'cryptography'] []"
    )
