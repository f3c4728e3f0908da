"""The candidate: the policy and configuration that a history is decided by once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import bindparam, select

from guardrail.boundaries import Boundaries
from guardrail.bundles import Bundle
from guardrail.config import Config
from guardrail.facts.paths import is_inside
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.statements import text
from guardrail.outputs import ConfiguredCheck
from guardrail.pointers import of_argument
from guardrail.policy import AllOf
from guardrail.rego import RegoPolicy
from guardrail.releasing import SERVER
from guardrail.replay.runs import RunSoFar
from guardrail.settings import ToolSettings

_tools = schema.tools.c
_DEFINITION = text(select(_tools.definition).where(_tools.digest == bindparam("digest")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who decides, and what else a policy input depends on.

    Attributes:
        policy: who decides.
        boundaries: what each agent may do; a part of the policy.
        tools: what the configuration says of tools, by `server/name`.
        attributes: agent → what policies may know of it.
        folder: what folders in the configuration are relative to.
        checks: what looks at outputs.
    """

    policy: AllOf
    boundaries: Boundaries | None = None
    tools: Mapping[str, ToolSettings] = field(default_factory=dict[str, ToolSettings])
    attributes: Mapping[str, Mapping[str, Any]] | None = None
    checks: Sequence[ConfiguredCheck] = ()

    @classmethod
    def of(cls, config: Config, bundle: Bundle | None) -> Candidate:
        """What a configuration describes, with these policies.

        Raises:
            ConfigError: a boundary or a check cannot be read, or nothing decides.
            PolicyError: the policies cannot be used.
        """
        boundaries, settings = config.boundaries(), config.policies
        rego = [] if bundle is None else [RegoPolicy(bundle, observe=settings.observe, limit=settings.limit)]
        return cls(
            policy=AllOf([boundaries, *rego], hide=config.masking.hide),
            boundaries=boundaries,
            tools=config.tools,
            attributes={name: agent.attributes for name, agent in config.agents.items()},
            checks=config.output_checks(),
        )

    def shown(self, given: Mapping[str, Any], run: RunSoFar, *, as_read: bool = False) -> dict[str, Any]:
        """A recorded policy input as it would have been.

        Args:
            given: as recorded.
            run: the run up to there.
            as_read: with the state of the run that was read then, whatever was committed meanwhile.

        Raises:
            LookupError: the run has never been in the state that was read.
        """
        state, labels = run.shown(), list(run.labels)
        usage: dict[str, Any] = state["usage"]
        if as_read and run.recorded is not None:  # it is another run by now: what was read cannot be shown
            if not run.recorded.was_read(given):
                raise LookupError(given["run"]["id"])
        elif as_read:
            if (spent := run.spent_when(given["usage"])) is None:
                raise LookupError(given["run"]["id"])
            usage = {**given["usage"], "spent": spent}
            state, labels = {"history": given["history"]}, given["labels"]["run"]
        return {
            **self.configured(given),
            **state,
            "usage": usage,
            "labels": {**given["labels"], "run": labels},
            "run": {**given["run"], "step": usage["calls"] + 1},
        }

    def configured(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A recorded policy input with what the configuration says today of its agent, its tool and path roots."""
        roots = self._roots(given["agent"]["chain"])
        paths = [{**fact, "inside": _inside(fact["resolved"], roots)} for fact in given["facts"]["paths"]]
        return {
            **given,
            "agent": {**given["agent"], "attributes": self._known(given["agent"])},
            "tool": {**given["tool"], "effect": self.effect(given["tool"])},
            "facts": {**given["facts"], "paths": paths},
        }

    def effect(self, tool: Mapping[str, Any]) -> str:
        """What a tool does, by what the configuration says, else as recorded."""
        declared = self.tools.get(f"{tool['server']}/{tool['name']}")
        effect: str = tool["effect"]
        return effect if declared is None or declared.effect is None else declared.effect

    def unlike(self, definition: Mapping[str, Any]) -> str:
        """What the configuration says otherwise of a tool than was recorded, where no input can be made of that."""
        if definition["server"] == SERVER:
            return ""
        declared = self.tools.get(f"{definition['server']}/{definition['name']}", ToolSettings())
        said: dict[str, Any] = {
            "trust": declared.trust,
            "fields": dict(declared.fields),
            "labels": list(declared.labels),
            "readers": None if declared.readers is None else list(declared.readers),
        }
        words = [word for word, value in said.items() if definition[word] != value]
        kinds = {of_argument(argument): kind for argument, kind in declared.kinds.items()}
        known = {of_argument(argument): kind for argument, kind in definition["kinds"].items()}
        if any(known.get(argument) != kind for argument, kind in kinds.items()):
            words.append("kinds")
        return ", ".join(words)

    def _roots(self, chain: Sequence[str]) -> Mapping[str, Path]:
        return {} if self.boundaries is None else self.boundaries.roots(chain)

    def _known(self, agent: Mapping[str, Any]) -> Mapping[str, Any]:
        known: Mapping[str, Any] = agent["attributes"]
        return known if self.attributes is None else self.attributes.get(agent["id"], {})


def _inside(resolved: str, roots: Mapping[str, Path]) -> list[str]:
    """The roots that hold a path, the innermost first, as the facts name them."""
    found = [(-len(root.parts), name) for name, root in roots.items() if is_inside(resolved, root)]
    return [name for _, name in sorted(found)]


class Definitions:
    """The tools of a ledger as they were defined, by digest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Mapping[str, Any] | None] = {}

    def of(self, digest: str) -> Mapping[str, Any] | None:
        """The definition; None where it is not stored."""
        if digest not in self._known:
            row = self._connection.execute(_DEFINITION, (digest,)).fetchone()
            self._known[digest] = None if row is None else orjson.loads(row[0])
        return self._known[digest]
