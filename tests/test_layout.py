"""The shape of the project: what may import what, how large a part may get, what ships."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("guardrail", "adapters")
ADAPTERS = sorted(
    path.name
    for path in (ROOT / "adapters").iterdir()
    if path.is_dir() and path.name.startswith("guardrail_")
)

# The line, in the order in which it is read. A module may import those before it, never those after it.
# The types of an answer (`decisions`, `budgets`) stand before whoever gives it (`policy`, `boundaries`).
LINE = [
    "errors", "visible", "durations", "clock", "pointers", "canonical", "checks", "calls", "facts", "names",
    "registry", "provenance", "outputs", "decisions", "obligations", "policy", "budgets", "boundaries",
    "rego", "editions", "opa", "masking", "hidden", "people", "scopes", "approvals", "tiers", "standing", "supply",
    "keyfiles", "grants", "outcomes", "flights", "channels", "telemetry", "admission", "execution", "verifier",
    "merkle", "sealing", "records", "proofs", "ledger", "activating", "checkpointing", "voting", "showing", "steps",
    "spans", "releasing", "runtime", "origins", "judging", "replay", "exports", "walks", "saying", "drivers",
    "delivery", "resuming", "sinks",
]  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules imported when this one is loaded (what stands under TYPE_CHECKING is for checkers only)."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("word", LINE)
def test_imports_run_backwards_along_the_line(word: str):
    later = {f"guardrail.{name}" for name in LINE[LINE.index(word) + 1 :]}
    folder = ROOT / "guardrail" / word
    files = list(folder.rglob("*.py")) if folder.is_dir() else [ROOT / "guardrail" / f"{word}.py"]
    found = {
        f"{path.name} imports {name}"
        for path in files
        for name in imported(path)
        for module in later
        if name == module or name.startswith(module + ".")
    }
    assert found == set()


def test_the_core_imports_no_framework_and_no_adapter():
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "guardrail").rglob("*.py")
        for name in imported(path)
        if name.startswith(("langgraph", "langchain", "guardrail_", "opentelemetry.sdk"))
        and not path.is_relative_to(ROOT / "guardrail" / "cli")
    }
    assert found == set()


def written_by_hand(path: Path) -> bool:
    """A migration is one list of tables, in the order in which they are made."""
    return "migrations" not in path.parts


@pytest.mark.parametrize(
    "path", list(filter(written_by_hand, modules())), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_and_its_functions_fit_on_the_screen(path: Path):
    text = path.read_text()
    long = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _code_lines(node) > 40
    }
    assert (text.count("\n") < 400, long) == (True, {})


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_a_replay_has_nothing_to_act_with():
    """No tool, no driver that runs one, no ledger that writes: not even a name of theirs is imported."""
    acting = ("guardrail.drivers", "guardrail.guard", "guardrail.functions", "guardrail.wrapping",
              "guardrail.ledger.ledger", "guardrail.ledger.writer", "guardrail.ledger.leases")  # fmt: skip
    found = {
        f"{path.name} imports {name}"
        for path in (ROOT / "guardrail" / "replay").rglob("*.py")
        for name in imported(path)
        if name in {*acting, "guardrail"}
    }
    written = {
        path.name
        for path in (ROOT / "guardrail" / "replay").rglob("*.py")
        if re.search(
            r"\b(Ledger|execute_async|from guardrail.execution import .*\bexecute)\b", path.read_text()
        )
    }
    assert (found, written) == (set(), set())


def test_every_adapter_ships_in_the_wheel_and_is_listed():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    listed = sorted(config["project"]["entry-points"]["guardrail.adapters"].values())
    assert (packages, listed) == (["guardrail", *(f"adapters/{name}" for name in ADAPTERS)], ADAPTERS)


def test_whatever_may_raise_anything_is_caught_in_named_places_only():
    """Tools, policies, channels, checks and telemetry of others, what their errors say, the embedded back end."""
    broad = {
        f"{path.relative_to(ROOT)}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    }
    assert broad == {
        "adapters/guardrail_validators/worker.py",  # a process of its own, and nothing of ours in it
        "guardrail/delivery.py",
        "guardrail/errors.py",
        "guardrail/execution.py",
        "guardrail/outputs/running.py",
        "guardrail/policy.py",
        "guardrail/telemetry/harmless.py",
    }


def test_the_lock_names_no_index():
    for name in (
        "requirements.lock",
        "examples/requirements-agentdojo.lock",
        "tests/validators/requirements.lock",
        "tests/replay/requirements.lock",
    ):
        text = (ROOT / name).read_text()
        assert ("://" in text, "--hash=sha256:" in text) == (False, True)
