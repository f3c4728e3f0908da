"""`init`, `packs`, `check`, `test` and `bundle`: from an empty folder to policies that say what was meant."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.output import NO, Output, cell
from guardrail.cli.progress import Progress, bar
from guardrail.errors import ConfigError
from guardrail.mistakes import close_to
from guardrail.packs import DEFAULT, PackName
from guardrail.packs import packs as shipped_packs
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.rego import Finding, TestResult

_IGNORED = ("guardrail.db*", "guardrail.key")
"""What never belongs in version control: the ledger with its companions, and the key."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the project is.")] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", metavar="NAME", help="A shipped pack beside the default set; as often as you like."
        ),
    ] = None,
) -> None:
    """Write a configuration, an example rule and its test to begin with."""
    from guardrail.config import starter  # noqa: PLC0415  pydantic: `guardrail --help` does without

    for name in pack or ():
        _check_pack(name)
    picked = (*DEFAULT, *pack) if pack else ()
    files = {Path("guardrail.toml"): starter(picked)} | _read(
        resources.files("guardrail.cli").joinpath("starter"), Path()
    )
    taken = [str(folder / name) for name in files if (folder / name).exists()]
    if taken and not force:
        raise ConfigError(
            f"there already: {', '.join(taken)}", fix="give another folder, or replace them with --force"
        )
    try:
        written = [_write(folder / name, text) for name, text in files.items()]
        (folder / "workspace").mkdir(exist_ok=True)
        written += _ignore(folder / ".gitignore")
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    output = Output()
    for path in written:
        output.line(f"wrote {visible(str(path))}")
    where = "" if folder == Path() else f"cd {visible(str(folder))} && "
    output.line(f"Next: {where}guardrail check && guardrail test")


def packs(*, as_json: AsJson = False, color: Color = None) -> None:
    """List the packs of rules that come with guardrail: what they decide on, and what they can be told."""
    from guardrail.bundles import shipped_folder  # noqa: PLC0415  `guardrail --help` does without

    found = shipped_packs(shipped_folder())
    output = Output(color=color)
    if as_json:
        output.document({"packs": [pack.as_json() for pack in found]})
        return
    rows = [(pack.name, pack.picked, pack.title, pack.decides, ", ".join(pack.settings)) for pack in found]
    output.table(("PACK", "PICKED", "TITLE", "DECIDES ON", "SETTINGS"), rows)


def bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes, as bundle.tar.gz.")],
    *,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Write the policies as a bundle that OPA servers load; they tell its revision with every decision."""
    from guardrail.opa.archive import archive  # noqa: PLC0415  the Rego interpreter: help does without
    from guardrail.rego import preflight  # noqa: PLC0415  likewise

    found = load(config).bundle()
    if found is None:
        raise ConfigError(f"{config}: policies.paths: no policies are named", fix="name folders of policies")
    preflight(found)
    content = archive(found)
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    output = Output(color=color)
    if as_json:
        output.document({"file": str(file), "revision": found.revision, "bytes": len(content)})
    else:
        output.line(
            f"{visible(str(file))}: {len(found.rules)} modules, {len(content):,} bytes, revision {found.revision}"
        )


class Engine(StrEnum):
    """What else may decide."""

    OPA = "opa"


def check(
    *,
    engine: Annotated[
        Engine | None,
        typer.Option(
            "--engine", metavar="opa", help="Compare what OPA decides with what is decided here, too."
        ),
    ] = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    progress: Progress = None,
    color: Color = None,
) -> None:
    """Lint the configuration and the policies; every finding has its file, line and rule."""
    from guardrail.cli.faults import differences, faults  # noqa: PLC0415  the Rego interpreter: help does without

    found = faults(config)
    if engine is not None and not any(finding.rule in {"config", "bundle"} for finding in found):
        with bar("Comparing engines", shown=progress, of="questions") as advance:
            found += differences(config, advance)
    output = Output(color=color)
    if as_json:
        output.document({"findings": [_as_json(finding) for finding in found]})
    else:
        for finding in found:
            output.heading(
                cell(f"{finding.file}:{finding.line}: ")
                .append_text(cell(finding.severity))
                .append(f": {visible(finding.message)} [{finding.rule}]")
            )
        errors = sum(finding.severity == "error" for finding in found)
        told = f"{_counted(errors, 'error')}, {_counted(len(found) - errors, 'warning')}."
        output.line(told if found else "Nothing to complain about.")
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(NO)


def run_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATHS]", help="Folders of policies. Left out: the configured ones."),
    ] = None,
    *,
    select: Annotated[
        str | None, typer.Option("-k", metavar="TEXT", help="Only tests whose name holds this.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="For all together.")
    ] = 60.0,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Run the Rego tests, rules named test_*, each by itself in a process of its own."""
    from guardrail.bundles import Bundle  # noqa: PLC0415  the Rego interpreter: help does without
    from guardrail.cli.faults import place  # noqa: PLC0415  likewise
    from guardrail.rego import run_rego_tests  # noqa: PLC0415  likewise

    settings = None if paths else load(config)
    folders = tuple(paths or ()) if settings is None else settings.policy_paths
    bundle = Bundle.from_directory(*folders) if settings is None else settings.bundle()
    if bundle is None:
        raise ConfigError(
            f"{config}: policies.paths: no policies are named", fix="name folders: guardrail test PATHS"
        )
    results = run_rego_tests(bundle, select=select, timeout=timeout)
    output = Output(color=color)
    failed = [result for result in results if not result.passed]
    if as_json:
        tests = [_result_as_json(result, place(result.file, folders)) for result in results]
        output.document({"passed": len(results) - len(failed), "failed": len(failed), "tests": tests})
    else:
        for result in results:
            _show_result(output, result, place(result.file, folders))
        told = f"{len(results) - len(failed)} passed, {len(failed)} failed."
        output.line(told if results else "No tests: write rules test_* in files *_test.rego.")
    if failed or not results:
        raise typer.Exit(NO)


def _check_pack(name: str) -> None:
    names = get_args(PackName)
    if name not in names:
        near = close_to(name, names)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"there is no pack {visible(name)!r}", fix=f"{hint}`guardrail packs` lists them all"
        )


def _show_result(output: Output, result: TestResult, file: str) -> None:
    words = cell("passed" if result.passed else "failed")
    words.append(
        f"  {visible(result.title)}  ({visible(file)}:{result.line}, {result.duration * 1000:.1f} ms)"
    )
    output.heading(words)
    if not result.passed:
        output.line(visible(result.error or "it was false, or had no value"), indent=8)
        for text in result.output:
            output.line(visible(text), indent=8)


def _result_as_json(result: TestResult, file: str) -> dict[str, object]:
    return {
        "name": result.title,
        "file": file,
        "line": result.line,
        "passed": result.passed,
        "error": result.error,
        "output": list(result.output),
        "seconds": result.duration,
    }


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "file": finding.file,
        "line": finding.line,
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
    }


def _read(folder: Traversable, at: Path) -> dict[Path, str]:
    """Every file in a folder of the package, by its path in there."""
    found: dict[Path, str] = {}
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        here = at / item.name
        found |= _read(item, here) if item.is_dir() else {here: item.read_text(encoding="utf-8")}
    return found


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _ignore(path: Path) -> list[Path]:
    """Add what is missing to a .gitignore; what stands there stays."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in _IGNORED if line not in before.splitlines()]
    if not missing:
        return []
    gap = "" if not before or before.endswith("\n") else "\n"
    return [_write(path, before + gap + "".join(f"{line}\n" for line in missing))]
