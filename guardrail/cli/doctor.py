"""`doctor`: whether this project is in order, and what a person has to do where it is not."""

from __future__ import annotations

import os
import platform
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer

from guardrail.cli.clocks import clocks
from guardrail.cli.collectors import collectors
from guardrail.cli.exporting import is_installed, wanted
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.output import DEPENDENCY_DOWN, NO, Output, cell
from guardrail.cli.retention import about_retention
from guardrail.cli.signs import Sign
from guardrail.errors import BundleUnreachable, ConfigError, GuardrailError, LedgerError, LedgerUnavailable
from guardrail.version import __version__
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger import Ledger
    from guardrail.ledger.listings import Status
    from guardrail.opa.policy import OpaPolicy
    from guardrail.rego import RegoPolicy

State = Literal["ok", "note", "warning", "error", "down"]
"""`ok` and `note` are in order, `warning` may be meant so, `error` is wrong, `down` out of reach."""

_DISTRIBUTION = "guardrail-runtime"
_READY: Final[Mapping[str, State]] = {"ready": "ok", "other": "warning", "down": "down", "wrong": "error"}
"""How an OPA server is → what the doctor says of it."""
_GONE: Final = (
    "put the file back, or restore a backup; to begin anew, delete its -wal, -shm and .lock files as well"
)


def doctor(*, config: ConfigPath = CONFIG, as_json: AsJson = False, color: Color = None) -> None:
    """Examine configuration, policies, ledger, halts, open calls and adapters."""
    signs = [*_surroundings()]
    observing = False
    try:
        settings = load(config)
    except ConfigError as error:
        signs.append(Sign(about="configuration", state="error", text=error.message, fix=error.fix))
    else:
        observing = settings.mode == "observe"
        signs += [*_configuration(config, settings), *_policies(settings), *_packages(settings)]
        signs += [*_outputs(settings), *_tokens(settings), *_ledger(settings)]
    signs += _adapters()
    output = Output(color=color)
    if as_json:
        output.document({"healthy": _verdict(signs) == 0, "signs": [sign.as_json() for sign in signs]})
    else:
        if observing:
            output.observing()
        _show(output, signs)
    raise typer.Exit(_verdict(signs))


def _show(output: Output, signs: Sequence[Sign]) -> None:
    output.grid(
        [(cell(sign.state), sign.about, sign.text) for sign in signs],
        widths=[7, max(len(sign.about) for sign in signs)],
    )
    for sign in signs:
        if sign.fix:
            output.line(f"To do ({sign.about}): {visible(sign.fix)}")


def _verdict(signs: Sequence[Sign]) -> int:
    states = {sign.state for sign in signs}
    return DEPENDENCY_DOWN if "down" in states else NO if "error" in states else 0


def _surroundings() -> Iterator[Sign]:
    yield Sign(about="guardrail", state="ok", text=f"{__version__} on Python {platform.python_version()}")
    if os.environ.get("RUST_BACKTRACE", "0") != "0":
        yield Sign(
            about="environment", state="warning", fix="unset RUST_BACKTRACE where agents run",
            text="RUST_BACKTRACE is set: a panic of the Rego interpreter takes long and shows its innards",
        )  # fmt: skip
    yield from _telemetry()


def _telemetry() -> Iterator[Sign]:
    """What the environment asks for; nothing where it asks for nothing."""
    try:
        traces, metrics = wanted("TRACES"), wanted("METRICS")
    except ConfigError as error:
        yield Sign(about="telemetry", state="error", text=error.message, fix=error.fix)
        return
    if (traces, metrics) == ("none", "none"):
        return
    if is_installed():
        yield Sign(about="telemetry", state="ok", text=f"commands export spans: {traces}, metrics: {metrics}")
        yield from collectors()
    else:
        yield Sign(
            about="telemetry", state="warning", fix="pip install 'guardrail-runtime[otel]'",
            text="OTEL_ variables ask for spans or metrics, and the extra otel is not installed: commands export none",
        )  # fmt: skip


def _configuration(path: Path, config: Config) -> Iterator[Sign]:
    agents = f"{len(config.agents)} agents, {len(config.tools)} tools declared"
    yield Sign(about="configuration", state="ok", text=f"{path}: {agents}")
    if config.mode == "observe":
        fix = 'set mode = "enforce" once the decisions are as you want them'
        yield Sign(
            about="mode", state="warning", text="OBSERVE MODE: NOTHING IS ENFORCED (but halts)", fix=fix
        )
    else:
        yield Sign(about="mode", state="ok", text="enforce")
    for rule in config.policies.observe:
        yield Sign(about="mode", state="warning", text=f"the rule {rule} is in observe mode: NOT ENFORCED")


def _policies(config: Config) -> Iterator[Sign]:
    from guardrail.policy import AllOf  # noqa: PLC0415  the Rego interpreter: `guardrail --help` does without

    rego: RegoPolicy | OpaPolicy | None = None
    try:
        rego = config.rego_policy()
        if (bundle := config.bundle()) is not None:
            where = "" if config.policies.title is None else f"{config.policies.title}: "
            text = f"{where}{len(bundle.rules)} modules pass pre-flight and their tests"
            yield Sign(about="policies", state="ok", text=text)
        elif rego is None:
            yield Sign(
                about="policies", state="warning", text="none are configured: the boundaries alone decide"
            )
        policies = [config.boundaries(), *([rego] if rego is not None else [])]
        revision = AllOf(policies, hide=config.masking.hide).revision
        yield Sign(about="policy revision", state="ok", text=revision)
        yield from _opa(config, rego)
    except GuardrailError as error:
        source, down = config.policies.title, isinstance(error, BundleUnreachable)
        text, fix = error.message, error.fix or "run `guardrail check`"
        if source is not None:
            text = f"{source}: {text}"
            mend = "look after what hands them out" if down else "repair what is handed out"
            fix = error.fix or f"{mend}; guards that run go on with the last good policies"
        yield Sign(about="policies", state="down" if down else "error", text=text, fix=fix)
    finally:
        if rego is not None:
            rego.close()


def _opa(config: Config, policy: RegoPolicy | OpaPolicy | None) -> Iterator[Sign]:
    """How the OPA server is, where one decides."""
    if config.opa is None:
        return
    from guardrail.opa.policy import OpaPolicy  # noqa: PLC0415  an extra
    from guardrail.opa.readiness import readiness  # noqa: PLC0415  likewise

    if isinstance(policy, OpaPolicy):
        found = readiness(policy)
        yield Sign(about="opa", state=_READY[found.state], text=found.text, fix=found.fix)
        if config.opa.fallback:
            text = "while the server cannot be asked, the policies here decide in this process"
            yield Sign(about="opa fallback", state="note", text=text)


def _packages(config: Config) -> Iterator[Sign]:
    """Where packages and names are looked up; nobody is asked."""
    registry = config.registry
    try:
        config.packages().close()
        titles = [index.title for index in registry.indexes(config.folder)]
    except ConfigError as error:
        yield Sign(about="packages", state="error", text=error.message, fix=error.fix)
        return
    titles += [f"the snapshot {registry.snapshot}"] if registry.snapshot else []
    if titles:
        yield Sign(about="packages", state="ok", text=f"looked up in {', '.join(titles)}")
    else:
        text = "nobody is asked: whether a package exists is unknown, and installing one asks"
        yield Sign(about="packages", state="note", text=text)
    if config.names.resolve:
        yield Sign(about="names", state="ok", text=f"looked up within {config.names.timeout:g} s")


def _tokens(config: Config) -> Iterator[Sign]:
    """Only where the file is there and cannot be used: then the service knows nobody."""
    from guardrail.tokens import Tokens  # noqa: PLC0415  for who serves

    try:
        Tokens(config.folder / config.serve.tokens).all()
    except ConfigError as error:
        yield Sign(about="tokens", state="error", text=error.message, fix=error.fix)


def _outputs(config: Config) -> Iterator[Sign]:
    try:
        checks = config.output_checks()
    except ConfigError as error:
        yield Sign(about="outputs", state="error", text=error.message, fix=error.fix)
    else:
        yield Sign(
            about="outputs", state="ok", text=f"checks: {', '.join(check.name for check in checks) or 'none'}"
        )


def _ledger(config: Config) -> Iterator[Sign]:
    place = config.ledger_path
    if not isinstance(place, str) and not place.exists() and not config.key_path.exists():
        text = f"{place} is not there yet: the first call makes it"
        yield Sign(about="ledger", state="note", text=text)
        return
    if not isinstance(place, str) and not place.exists() and Path(f"{place}.lock").exists():
        text = (
            f"{place} is gone: it was used here, and its key {config.key_path} and its lock are still there"
        )
        yield Sign(about="ledger", state="down", text=text, fix=_GONE)
        return
    try:
        ledger = config.open_ledger()
    except LedgerUnavailable as error:
        yield Sign(about="ledger", state="down", text=error.message, fix=error.fix)
        return
    try:
        yield from _rehearsal(ledger)
        yield from _about_ledger(ledger)
        yield from about_retention(config, ledger)
        yield from _activations(config, ledger)
    except LedgerUnavailable as error:
        yield Sign(about="ledger", state="down", text=error.message, fix=error.fix)
    finally:
        ledger.close()


def _rehearsal(ledger: Ledger) -> Iterator[Sign]:
    """Only where it fails: a ledger that can be read, and takes no call."""
    try:
        ledger.stops.rehearse()
    except LedgerError as error:
        yield Sign(
            about="ledger", state="down", text=error.message, fix=error.fix or "see the database's log"
        )


def _about_ledger(ledger: Ledger) -> Iterator[Sign]:
    status = ledger.status()
    size = f"{status.records:,} records, {status.runs:,} runs, {status.size + status.wal_size:,} bytes"
    yield Sign(about="ledger", state="ok", text=f"{status.path}: {size}")
    yield from _database(status)
    yield from clocks(status)
    yield from _key(status)
    for log in status.logs:
        if not log.id or log.pruned:  # log 0 has no writer
            continue
        held = f"held by process {log.pid} on {log.host} until {log.lease_until}" if log.held else "free"
        yield Sign(about="lease", state="ok", text=f"log {log.id}: {log.size:,} records, {held}")
    yield from _checkpoints(ledger)
    for halt in status.halts:
        text = f"{halt.scope} IS HALTED since {halt.at} by {halt.by}: {halt.reason or 'no reason given'}"
        yield Sign(
            about="halt", state="warning", text=text, fix="lift it with `guardrail unhalt` once that is over"
        )
    if status.pending:
        text = f"{status.pending} wait for a person"
        yield Sign(about="approvals", state="note", text=text, fix="answer them: `guardrail approvals`")
    if status.unknown:
        yield Sign(
            about="calls", state="error", text=f"{status.unknown} of unknown outcome: {_unknown(ledger)}",
            fix="find out whether each ran, then `guardrail settle CALL --ran` or `--did-not-run`",
        )  # fmt: skip
    if status.started:
        yield Sign(about="calls", state="ok", text=f"{status.started} run now")


def _checkpoints(ledger: Ledger) -> Iterator[Sign]:
    last = ledger.checkpoints.last()
    if last is not None:
        text = f"checkpoint {last.size}, the last one, was signed at {last.at}"
        yield Sign(about="checkpoints", state="ok", text=text)
    else:
        yield Sign(
            about="checkpoints", state="note", text="none was signed: who rewrites the file can rewrite its heads",
            fix="docs/proofs.md tells how the heads are signed and kept elsewhere",
        )  # fmt: skip


def _activations(config: Config, ledger: Ledger) -> Iterator[Sign]:
    """What guards have made of the source of the policies, as they have written it down."""
    source = config.policies.title
    if source is None or (last := ledger.activations.last(source)) is None:
        return
    if (active := ledger.activations.active(source)) is not None:
        text = f"{active.title} decides since {active.at}, policy {active.policy[:16]}"
        yield Sign(about="edition", state="ok", text=text)
    if last.result == "refused":
        text = f"THE LAST GOOD ONE STAYS since {last.at}: {last.title} was refused ({last.code}): {last.why}"
        fix = "repair what the source holds; `guardrail policies activate` says whether it is taken"
        yield Sign(about="edition", state="error", text=text, fix=fix)


def _database(status: Status) -> Iterator[Sign]:
    text = f"{status.server} through {status.driver}"
    if status.shareable:
        yield Sign(about="database", state="ok", text=f"{text}, safe for several processes")
    else:
        fix = "install pysqlite3, or use a Python with SQLite 3.51.3 or newer"
        yield Sign(about="database", state="warning", text=f"{text}: a second process is refused", fix=fix)
    safe = status.journal_mode in {"wal", "fsync"}
    fix = (
        "set `fsync = on` on the server"
        if status.driver == "psycopg"
        else "something changed it: open it once"
    )
    yield Sign(
        about="journal",
        state="ok" if safe else "error",
        text=status.journal_mode,
        fix="" if safe else fix,
    )


def _key(status: Status) -> Iterator[Sign]:
    if status.key_path is None:
        return
    mode = stat.S_IMODE(Path(status.key_path).stat().st_mode)
    text = f"{status.key_path} ({status.key_id})"
    if os.name == "posix" and mode & 0o077:
        fix = f"chmod 600 {status.key_path}"
        yield Sign(about="key", state="error", text=f"{text} is open to other users (mode {mode:o})", fix=fix)
    else:
        yield Sign(about="key", state="ok", text=text)


def _unknown(ledger: Ledger, most: int = 10) -> str:
    """The calls whose outcome nobody knows, by name."""
    found: list[str] = []
    for run in ledger.runs():
        found += [
            f"{call.reference} ({call.tool})" for call in ledger.calls(run.id) if call.state == "unknown"
        ]
        if len(found) > most:
            return ", ".join(found[:most]) + ", …"
    return ", ".join(found)


def _adapters() -> Iterator[Sign]:
    """The adapters, by what their extras need; none is imported: a listing must not load a framework."""
    for entry in sorted(metadata.entry_points(group="guardrail.adapters"), key=lambda entry: entry.name):
        needed = _needed(entry.name, metadata.version)
        missing = [name for name, version in needed if version is None]
        about = f"adapter {entry.name}"
        if missing:
            fix = f"to use it: pip install '{_DISTRIBUTION}[{entry.name}]'"
            yield Sign(about=about, state="note", text=f"not usable: {', '.join(missing)} missing", fix=fix)
        else:
            yield Sign(
                about=about, state="ok", text=", ".join(f"{name} {version}" for name, version in needed)
            )


def _needed(extra: str, version: Callable[[str], str]) -> list[tuple[str, str | None]]:
    """The distributions that an extra names, each with the version installed here."""
    found: list[tuple[str, str | None]] = []
    for line in metadata.requires(_DISTRIBUTION) or ():
        named = re.match(r"[A-Za-z0-9._-]+", line)
        if named is None or not re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", line):
            continue
        try:
            found.append((named[0], version(named[0])))
        except metadata.PackageNotFoundError:
            found.append((named[0], None))
    return found
