"""The check: what the validators say of an output, as findings."""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from guardrail.durations import seconds
from guardrail.errors import ConfigError
from guardrail.outputs import Answer, Finding, Output
from guardrail_validators.process import Worker, WorkerError

WITHIN: Final = 5.0
"""Seconds for the answer to one output, where nothing else is said."""

_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OTEL_SDK_DISABLED": "true"}
_CLASS: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_OPTIONS: Final = ("validators", "python", "environment", "within")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A validator that is to look.

    Attributes:
        use: where its class is, as `module:Class`.
        arguments: what it is made with.
    """

    use: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


class GuardrailsValidators:
    """Fails an output that a validator fails. Texts are shown to them as they are, other contents as JSON text.

    The worker is started here and loads its validators meanwhile; the first answer waits for that, up to a minute.

    Args:
        validators: which, in order.
        python: the interpreter with guardrails-ai; None = this one.
        environment: variables of this process that the worker gets too; it is offline for models unless these say so.
        within: seconds for the answer to one output.
    """

    def __init__(
        self,
        validators: Sequence[Validator],
        *,
        python: str | None = None,
        environment: Sequence[str] = (),
        within: float = WITHIN,
    ) -> None:
        passed_on = {name: os.environ[name] for name in (*_PASSED_ON, *environment) if name in os.environ}
        loaded = [{"use": validator.use, "arguments": dict(validator.arguments)} for validator in validators]
        self._asked = len(loaded)
        self._within = within
        self._worker = Worker(python or sys.executable, loaded, environment={**_OFFLINE, **passed_on})
        self._closed = weakref.finalize(self, self._worker.close)
        try:
            self._worker.start()
        except WorkerError as error:
            raise ConfigError(str(error), fix="python: name an interpreter that has guardrails-ai") from error

    @property
    def version(self) -> str:
        """Of this adapter, and of guardrails-ai once it has answered."""
        return f"1+{self._worker.ready}" if self._worker.ready else "1"

    def look(self, output: Output) -> Answer:
        """What they all say; one that raises, dies or takes too long is an `error`."""
        content: object = output.content
        text = content if isinstance(content, str) else output.body.decode()
        try:
            said = self._worker.ask(text, self._within)
            return _answer(said, text, asked=self._asked, spans=text is content)
        except WorkerError as error:
            return Answer(verdict="error", message=str(error))

    def close(self) -> None:
        """End the worker."""
        self._closed()


def _answer(said: Any, text: str, *, asked: int, spans: bool) -> Answer:
    """What the worker said, as an answer; `spans`: places in the text are places in the content."""
    try:
        broken = [item["validator"] for item in said if "error" in item]
        failed = [item for item in said if item.get("outcome") == "fail"]
        passed = [item for item in said if item.get("outcome") == "pass"]
        findings = [
            finding for item in failed for finding in _findings(item, len(text) if spans else 0)
        ]  # fmt: skip
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise WorkerError("its worker said what is no answer") from error
    if broken or not len(failed) + len(passed) == len(said) == asked:
        return Answer(verdict="error", message=f"these could not look: {', '.join(broken)}")
    names = ", ".join(dict.fromkeys(item["validator"] for item in failed))
    return Answer(
        verdict="fail" if failed else "pass",
        message=f"it fails {names}" if failed else "",
        findings=tuple(dict.fromkeys(findings)),
    )


def _findings(item: Mapping[str, Any], length: int) -> list[Finding]:
    """The places that a validator names, as far as they are in the text; else the whole content."""
    spans = [(int(start), int(end)) for start, end in item["spans"]]
    kind = item["validator"]
    if not spans or not all(0 <= start < end <= length for start, end in spans):
        return [Finding(kind=kind, at="")]
    return [Finding(kind=kind, at="", start=start, end=end) for start, end in spans]


def guardrails_ai(options: Mapping[str, Any], folder: Path) -> GuardrailsValidators:
    """The check `guardrails-ai` of a configuration.

    Raises:
        ConfigError: an option is not what it may be.
    """
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ConfigError(
            f"there is no option {unknown[0]!r} of this check", fix=f"its options are {', '.join(_OPTIONS)}"
        )
    python, environment = options.get("python"), options.get("environment", [])
    if not (python is None or isinstance(python, str)):
        raise ConfigError(f"python: expected the path of an interpreter; found {python!r}")
    if not (
        isinstance(environment, list)
        and all(isinstance(name, str) for name in cast("list[object]", environment))
    ):
        raise ConfigError(f"environment: expected a list of names; found {environment!r}")
    try:
        within = seconds(options["within"]) if "within" in options else WITHIN
    except ValueError as error:
        raise ConfigError(f"within: {error}") from error
    return GuardrailsValidators(
        _validators(options.get("validators")),
        python=str(folder / python) if python and len(Path(python).parts) > 1 else python,
        environment=cast("list[str]", environment),
        within=within,
    )


def _validators(given: object) -> list[Validator]:
    wanted = cast("list[object]", given) if isinstance(given, list) else []
    found: list[Validator] = []
    for item in wanted:
        table: Mapping[str, Any] = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        use, arguments = table.get("use"), table.get("arguments", {})
        if not (isinstance(use, str) and _CLASS.fullmatch(use) and isinstance(arguments, dict)) or (
            table.keys() - {"use", "arguments"}
        ):
            raise ConfigError(
                f"validators: expected tables with use, as 'module:Class', and arguments; found {item!r}"
            )
        found.append(Validator(use=use, arguments=cast("dict[str, Any]", arguments)))
    if not found:
        raise ConfigError("validators: expected a list of one or more validators")
    return found
