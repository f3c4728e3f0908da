"""A bundle's own tests: every rule `test_*`, in a process of its own.

A test fails where it is false, has no value or raises. A policy that hangs or crashes the interpreter
ends the child, never the process that asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from guardrail.bundles import Bundle
from guardrail.errors import PolicyError
from guardrail.rego.interpreter import Interpreter, RegoPanicError, translated
from guardrail.rego.preflight import preflight
from guardrail.rego.references import Program
from guardrail.rego.syntax import read_module

PREFIX: Final = "test_"

_CHILD: Final = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """How one test ended.

    Attributes:
        package: where it is written, without `data`.
        name: of the rule.
        file: the module, by its path in the bundle.
        line: the line there.
        passed: whether it was true.
        error: why it did not pass; empty = it was false or had no value.
        output: what it printed.
        duration: seconds.
    """

    __test__ = False  # pytest takes a class of this name for tests

    package: str
    name: str
    file: str
    line: int
    passed: bool = False
    error: str = ""
    output: tuple[str, ...] = ()
    duration: float = 0.0

    @property
    def title(self) -> str:
        """`package.name`."""
        return f"{self.package}.{self.name}"


def verify_bundle(bundle: Bundle, *, timeout: float | None = 60.0) -> None:
    """What has to hold before a bundle may decide: the pre-flight, and its own tests if it has any.

    Args:
        bundle: what is to be activated.
        timeout: seconds that all tests together may take; None = they are not run.

    Raises:
        PreflightError: the bundle uses what cannot be decided safely.
        PolicyError: a test fails, hangs or crashes; names the first ones.
    """
    program = preflight(bundle)
    results = _run_all(bundle, _tests(program), timeout) if timeout is not None else []
    failed = [result for result in results if not result.passed]
    if failed:
        shown = "\n  ".join(
            f"{test.file}:{test.line}: {test.title}: {test.error or 'not true'}" for test in failed[:10]
        )
        raise PolicyError(
            f"{len(failed)} of the bundle's own tests failed:\n  {shown}",
            fix="run `guardrail test` and repair them",
        )


def run_rego_tests(bundle: Bundle, *, select: str | None = None, timeout: float = 60.0) -> list[TestResult]:
    """Run the tests of a bundle, each by itself, in a child process.

    Args:
        bundle: modules with rules `test_*`, and the modules that they test.
        select: run only tests whose `package.name` contains this; None = all.
        timeout: seconds that all of them together may take.

    Raises:
        RegoError: a module does not parse.
    """
    interpreter = Interpreter(bundle.modules)
    program = Program(modules=[read_module(tree) for tree in interpreter.syntax_trees()], bundle=bundle)
    tests = [test for test in _tests(program) if select is None or select in test.title]
    return _run_all(bundle, tests, timeout)


def _tests(program: Program) -> list[TestResult]:
    """The tests of a bundle, not run yet; several definitions of one name are one test."""
    found: dict[tuple[str | None, ...], TestResult] = {}
    for path, rules in program.rules.items():
        name = path[-1]
        if name is not None and name.startswith(PREFIX) and rules[0].kind == "complete":
            rule = rules[0]
            package = ".".join(part or "" for part in path[:-1])
            found[path] = TestResult(package=package, name=name, file=rule.module.file, line=rule.line)
    return sorted(found.values(), key=lambda test: (test.file, test.line))


def _run_all(bundle: Bundle, tests: Sequence[TestResult], timeout: float) -> list[TestResult]:
    """Run tests in children: where one ends early, the test that it was at has failed and another goes on."""
    deadline = time.monotonic() + timeout
    done: list[TestResult] = []
    while len(done) < len(tests):
        waiting = tests[len(done) :]
        ended, why = _run_child(bundle, waiting, max(deadline - time.monotonic(), 0.0))
        done += ended
        if len(ended) < len(waiting):
            done.append(replace(waiting[len(ended)], error=why))
        if time.monotonic() > deadline:
            done += (
                replace(test, error=f"not run: the tests took more than {timeout:g} s")
                for test in tests[len(done) :]
            )
    return done


def _run_child(bundle: Bundle, tests: Sequence[TestResult], seconds: float) -> tuple[list[TestResult], str]:
    """Run tests in one child: the results that it gave, and why there are no more."""
    modules, data = dict(bundle.modules), bundle.data_json.decode()
    work = {"modules": modules, "data": data, "tests": [test.title for test in tests]}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RUST_BACKTRACE": "0"}
    command = [sys.executable, "-P", str(_CHILD)]
    try:
        ended = subprocess.run(
            command,
            input=json.dumps(work).encode(),
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
        output, why = ended.stdout, _ending(ended.returncode, ended.stderr.decode(errors="replace"))
    except subprocess.TimeoutExpired as error:
        output, why = error.stdout or b"", "it was still running when the time for all tests was over"
    lines = [line for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    return [replace(test, **_read(line)) for test, line in zip(tests, lines, strict=False)], why


def _ending(status: int, errors: str) -> str:
    if status < 0:
        return f"the interpreter crashed (signal {-status}): does a function call itself?"
    _, _, panic = errors.rpartition("PanicException: ")
    return str(translated(panic, RegoPanicError) if panic != errors else translated(errors))


def _read(line: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(line)
    return {**fields, "output": tuple(fields["output"])}
