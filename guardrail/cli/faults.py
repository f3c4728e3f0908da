"""What is wrong with a configuration and its policies: what `guardrail check` says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.config import Config
from guardrail.errors import ConfigError, PolicyError
from guardrail.patterns import ToolPattern, tool_title
from guardrail.pointers import places
from guardrail.rego import Finding, lint
from guardrail.rego.findings import Severity
from guardrail.rego.preflight import inspect
from guardrail.standing import with_package

if TYPE_CHECKING:
    from guardrail.opa.comparing import Progress


_UNEVALUATED: Final = frozenset({"syntax", "compile", "nesting", "recursion", "function", "conflict"})
"""Findings of the pre-flight for which nothing is evaluated: it could end the process, or never end."""


def faults(path: Path) -> list[Finding]:
    """Everything that is wrong with a configuration file and the policies that it names.

    Args:
        path: of the `guardrail.toml`, as the person gave it.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        config = Config.load(path)
        config.boundaries()
    except ConfigError as error:
        if not path.is_file():
            raise
        return [_misread(path, line) for line in error.message.splitlines()]
    return [*_Configuration(path, config).faults(), *_bundle_faults(config)]


def differences(path: Path, progress: Progress | None) -> list[Finding]:
    """What OPA and the embedded interpreter decide otherwise by the policies of a configuration.

    Args:
        path: of the `guardrail.toml`.
        progress: told how many questions were asked, of how many.

    Raises:
        ConfigError: the configuration cannot be read, or there is no OPA on this machine.
        PolicyError: OPA does not start with the policies.
    """
    from guardrail.opa.comparing import compared, findings_of, questions_of  # noqa: PLC0415  starts a server

    config = Config.load(path)
    bundle = config.bundle()
    if bundle is None or any(finding.rule in _UNEVALUATED for finding in inspect(bundle)[1]):
        return []
    found = findings_of(bundle, compared(bundle, questions_of(bundle), progress))
    return [replace(finding, file=place(finding.file, config.policy_paths)) for finding in found]


def _bundle_faults(config: Config) -> list[Finding]:
    """Everything that is wrong with the policies of a configuration, by the paths of their files."""
    folders = config.policy_paths
    try:
        bundle = config.bundle()
        if bundle is None:
            return []
        with_package(bundle)
        found = lint(bundle)
    except PolicyError as error:
        where = config.policies.title or _here(folders[0])
        return [Finding(file=where, line=0, rule="bundle", message=error.message)]
    return [replace(finding, file=place(finding.file, folders)) for finding in found]


def place(file: str, folders: tuple[Path, ...]) -> str:
    """Where a module of a bundle stands, as a path from here; what guardrail brings keeps its name."""
    return next((_here(folder / file) for folder in folders if (folder / file).is_file()), file)


def _here(path: Path) -> str:
    inside = path.absolute().is_relative_to(Path.cwd())
    return os.path.relpath(path) if inside else str(path)


def _misread(path: Path, message: str) -> Finding:
    """One line of what `Config.load` says, with the line of the file where its key stands."""
    text = message.removeprefix(f"{path}: ")
    parser = re.search(r"\(at line (\d+)", text)
    line = int(parser[1]) if parser else _line(path.read_text(errors="replace"), text.partition(": ")[0])
    return Finding(file=str(path), line=line, rule="config", message=text)


def _line(source: str, key: str) -> int:
    """The line where a dotted key stands, or the innermost table of it that is found; 1 where none is."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"|[\w-]+', re.sub(r"\[\d+\]", "", key))
    for end in range(len(parts), 0, -1):
        table = r"\.".join(rf'["\']?{re.escape(part.strip(chr(34)))}["\']?' for part in parts[:end])
        last = rf'["\']?{re.escape(parts[end - 1].strip(chr(34)))}["\']?'
        found = re.search(rf"^\s*\[+\s*{table}\s*\]|^\s*{last}\s*=", source, re.MULTILINE)
        if found:
            return source.count("\n", 0, found.end()) + 1
    return 1


class _Configuration:
    """What a configuration allows itself that nobody can have meant."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self._config = config
        self._source = path.read_text(encoding="utf-8")

    def faults(self) -> Iterator[Finding]:
        """One after the other."""
        if self._config.mode == "observe":
            yield self._warning(
                "mode", "observe", "observe mode: decisions are recorded and NOTHING IS ENFORCED"
            )
        if not self._config.agents:
            yield self._error(
                "agents", "agent-without-boundary", "no agent is declared, so every call is denied"
            )
        if not self._config.policy_paths and self._config.policies.source is None:
            yield self._warning(
                "policies", "no-policies", "no policies are named: the boundaries alone decide"
            )
        for name in self._config.agents:
            yield from self._agent(name)
        yield from self._tools()
        yield from self._observed()
        yield from self._marks()
        yield from self._lookers()

    def _agent(self, name: str) -> Iterator[Finding]:
        agent = self._config.agents[name]
        key = f"agents.{_quoted(name)}"
        if not (agent.tools or agent.delegate_tools or agent.delegates):
            message = f"agent {name} has no boundary: it may use no tool and delegate nothing; list its tools"
            yield self._error(key, "agent-without-boundary", message)
        for tool in dict.fromkeys((*agent.tools, *agent.delegate_tools)):
            title = tool_title(tool)
            if "*" not in title and title not in self._config.tools:
                message = (
                    f"agent {name} may use {title}, whose effect is not declared: it counts as irreversible"
                )
                yield self._warning(
                    key, "tool-without-effect", f'{message}; add [tools."{title}"] with its effect'
                )
        for folder in agent.paths or ():
            if not (self._config.folder / folder).is_dir():
                message = (
                    f"agent {name} may use paths in {folder}, which is no folder: none of them can be meant"
                )
                yield self._warning(key, "missing-folder", message)

    def _tools(self) -> Iterator[Finding]:
        usable = [
            ToolPattern.parse(tool)
            for agent in self._config.agents.values()
            for tool in (*agent.tools, *agent.delegate_tools)
        ]
        for title, tool in self._config.tools.items():
            if not any(pattern.covers(title) for pattern in usable):
                message = f"no agent may use {title}; add it to the tools of an agent, or take it out"
                yield self._warning(self._key_of(title), "unused-tool", message)
            elif tool.effect is None:
                message = (
                    f"the effect of {title} is not declared: irreversible, unless its code says otherwise"
                )
                yield self._warning(self._key_of(title), "tool-without-effect", message)

    def _observed(self) -> Iterator[Finding]:
        texts = _texts(self._config)
        for rule in self._config.policies.observe:
            yield self._warning("observe", "observe", f"the rule {rule} is recorded and NOT ENFORCED")
            if not any(json.dumps(rule) in text for text in texts):
                yield self._error("observe", "unknown-rule", f"no policy says anything under the id {rule}")

    def _marks(self) -> Iterator[Finding]:
        """Marks of budgets that nothing is ever taken from: nobody would be asked."""
        known = self._config.boundaries().budgets_of_money
        for place in places(_bundled(self._config), "/settings/spending/budgets"):
            yield from map(self._unknown_budget, sorted(set(place.value or ()) - known))

    def _lookers(self) -> Iterator[Finding]:
        """What looks at outputs and packages, and cannot be made."""
        for key, make in (("outputs", self._config.output_checks), ("registry", self._config.packages)):
            try:
                make()
            except ConfigError as error:
                yield self._error(key, key, error.message)

    def _unknown_budget(self, name: str) -> Finding:
        message = f"settings.spending.budgets names {name!r}, which is no budget of money of an agent"
        return self._error("policies", "unknown-budget", message)

    def _key_of(self, title: str) -> str:
        """The table of a tool, in the spelling that the file uses."""
        bare = title.removeprefix("local/")
        return f"tools.{_quoted(bare if re.search(rf'tools[.].?{re.escape(bare)}', self._source) else title)}"

    def _error(self, key: str, rule: str, message: str) -> Finding:
        return self._finding(key, rule, message, "error")

    def _warning(self, key: str, rule: str, message: str) -> Finding:
        return self._finding(key, rule, message, "warning")

    def _finding(self, key: str, rule: str, message: str, severity: Severity) -> Finding:
        line = _line(self._source, key)
        return Finding(file=str(self._path), line=line, rule=rule, message=message, severity=severity)


def _texts(config: Config) -> tuple[str, ...]:
    """The modules of the policies; none where they cannot be read, which is a finding of its own."""
    try:
        bundle = config.bundle()
    except PolicyError:
        return ()
    return () if bundle is None else tuple(bundle.modules.values())


def _bundled(config: Config) -> Any:
    """The data of the policies; nothing where they cannot be read."""
    try:
        bundle = config.bundle()
    except PolicyError:
        return {}
    return {} if bundle is None else bundle.data


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
