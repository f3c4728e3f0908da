"""What a tool is: what its code says, under what the operator's configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guardrail.calls import ArgumentKind, Effect, Tool
from guardrail.kinds import kinds_in
from guardrail.pointers import of_argument
from guardrail.schemas import check_kinds
from guardrail.settings import ToolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A tool as an adapter finds it in code.

    Attributes:
        schema: JSON Schema of its arguments.
        effect: what its author says that it does; None = nothing.
    """

    name: str
    server: str
    description: str
    schema: Mapping[str, Any]
    effect: Effect | None


def defined(found: Found, kinds: Mapping[str, ArgumentKind], declared: ToolSettings) -> Tool:
    """The definition; the configuration's word stands above that of the code, and that above the schema's.

    Raises:
        InvalidTool: the name is outside the rule, or an argument is declared that the tool does not have.
    """
    said = {of_argument(argument) for argument in kinds}
    read: dict[str, ArgumentKind] = {
        pointer: kind for pointer, kind in kinds_in(found.schema).items() if pointer not in said
    }
    kinds = {**kinds, **read}
    tool = Tool(
        name=found.name,
        server=found.server,
        description=found.description,
        schema=found.schema,
        effect=declared.effect or found.effect or "irreversible",
        kinds=kinds,
        deadline=declared.deadline,
        retries=declared.retries,
        idempotent=declared.idempotent,
        trust=declared.trust,
        fields=declared.fields,
        labels=declared.labels,
        readers=declared.readers,
    )
    check_kinds(tool.title, kinds, tool.schema)
    return tool
